/*
 * alike.c - what a program can tell of its malloc, for a random sequence of
 * calls with odd arguments; `alike` compares it between two mallocs.
 *
 *   alike SEED CALLS
 *
 * Each line is a call and what the contract fixes of its outcome: whether there
 * is a block, errno where there is none, alignment, contents, a usable size
 * that is large enough, errno kept by what frees. Addresses and sizes that are
 * one malloc's own affair are not printed. The program is not linked with ptm.
 *
 * Not asked for: what the C library of Debian 12 does in another way than the
 * one of today (aligned_alloc of what is no power of two, memalign of 2^63),
 * and sizes that only some machines have.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rng.h"

enum {
    SLOTS = 64,
    SHOWN = 4096, /* bytes of a block that are filled, at both ends */
    LARGE = 3 << 20,
    KEPT_ERRNO = 1234,
};

struct slot {
    unsigned char *block;
    size_t size;
    unsigned char byte;
};

static struct slot slots[SLOTS];
static struct rng rng;

static size_t draw(size_t below)
{
    return (size_t)rng_below(&rng, below);
}

/* Sizes that can be had, most of them small, with their neighbours. */
static size_t possible_size(void)
{
    switch (draw(8)) {
    case 0:
        return draw(3);
    case 1:
        return ((size_t)1 << draw(21)) + draw(3) - 1;
    case 2:
        return (size_t)getpagesize() * draw(20) + draw(40);
    case 3:
        return draw(40) == 0 ? LARGE + draw(100000) : draw(300000);
    default:
        return draw(1200);
    }
}

/* Around the ends of what an object may have, and of size_t. */
static size_t impossible_size(void)
{
    static const size_t middles[] = {PTRDIFF_MAX, SIZE_MAX - 70000,
                                     SIZE_MAX / 2 + 70000,
                                     (size_t)PTRDIFF_MAX - 70000, 1UL << 62};
    size_t page = (size_t)getpagesize();
    switch (draw(4)) {
    case 0:
        return SIZE_MAX - draw(64);
    case 1:
        return SIZE_MAX - draw(4) * page - draw(3);
    case 2:
        return (size_t)PTRDIFF_MAX + 20 - draw(40);
    default:
        return middles[draw(5)] + draw(3);
    }
}

static size_t odd_size(void)
{
    return draw(6) == 0 ? impossible_size() : possible_size();
}

static size_t odd_alignment(void)
{
    static const size_t odd[] = {0,
                                 1,
                                 2,
                                 3,
                                 7,
                                 8,
                                 9,
                                 16,
                                 17,
                                 24,
                                 48,
                                 100,
                                 4095,
                                 4097,
                                 (1 << 20) + 16,
                                 SIZE_MAX,
                                 (1UL << 63) + 1,
                                 3UL << 62,
                                 1UL << 62,
                                 1UL << 48};
    return draw(3) == 0 ? odd[draw(sizeof odd / sizeof odd[0])]
                        : (size_t)1 << draw(22);
}

static bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* ---- blocks ------------------------------------------------------------- */

static size_t shown(size_t size)
{
    return size < SHOWN ? size : SHOWN;
}

static void fill(struct slot *slot)
{
    slot->byte = (unsigned char)rng_next(&rng);
    memset(slot->block, slot->byte, shown(slot->size));
    memset(slot->block + slot->size - shown(slot->size), slot->byte,
           shown(slot->size));
}

static bool is_full_of(const unsigned char *bytes, size_t size, int byte)
{
    size_t i = 0;
    while (i < size && bytes[i] == (unsigned char)byte) {
        i++;
    }
    return i == size;
}

static bool is_intact(const struct slot *slot)
{
    size_t part = shown(slot->size);
    return slot->block == NULL ||
           (is_full_of(slot->block, part, slot->byte) &&
            is_full_of(slot->block + slot->size - part, part, slot->byte));
}

/* What a fresh block is like; it is kept. */
static void tell(struct slot *slot, void *block, size_t size, size_t alignment)
{
    int error = errno;
    if (block == NULL) {
        printf(" NULL errno %d\n", error);
        return;
    }
    *slot = (struct slot){.block = block, .size = size};
    printf(" aligned %d enough %d\n",
           (uintptr_t)block % (alignment > 16 ? alignment : 16) == 0,
           malloc_usable_size(block) >= size);
    fill(slot);
}

static void drop(struct slot *slot)
{
    bool intact = is_intact(slot);
    errno = KEPT_ERRNO;
    free(slot->block);
    printf("free: intact %d errno %d\n", intact, errno);
    *slot = (struct slot){.block = NULL};
}

/* ---- calls -------------------------------------------------------------- */

static void call_malloc(struct slot *slot)
{
    size_t size = odd_size();
    printf("malloc(%zu):", size);
    tell(slot, malloc(size), size, 16);
}

/* A product that is possible, one that is not, or one that overflows. */
static void call_calloc(struct slot *slot)
{
    size_t count = draw(4) == 0 ? odd_size() : draw(20);
    size_t size = draw(4) == 0 ? odd_size() : draw(200);
    size_t bytes = count * size;
    if (count < LARGE && size < LARGE && bytes > 2 * LARGE) {
        return;
    }
    printf("calloc(%zu, %zu):", count, size);
    unsigned char *block = calloc(count, size);
    int error = errno;
    if (block != NULL) {
        printf(" zero %d", is_full_of(block, bytes, 0));
    }
    errno = error;
    tell(slot, block, bytes, 16);
}

static void call_memalign(struct slot *slot)
{
    size_t alignment = odd_alignment(), size = odd_size(), rounded = 1;
    while (rounded < alignment && rounded < 1UL << 63) {
        rounded *= 2;
    }
    printf("memalign(%zu, %zu):", alignment, size);
    tell(slot, memalign(alignment, size), size, rounded);
}

static void call_aligned_alloc(struct slot *slot)
{
    size_t alignment = odd_alignment(), size = odd_size();
    if (is_power_of_two(alignment)) {
        printf("aligned_alloc(%zu, %zu):", alignment, size);
        tell(slot, aligned_alloc(alignment, size), size, alignment);
    }
}

static void call_posix_memalign(struct slot *slot)
{
    size_t alignment = odd_alignment(), size = odd_size();
    void *block = slot;
    int result = posix_memalign(&block, alignment, size);
    printf("posix_memalign(%zu, %zu): %d untouched %d", alignment, size, result,
           block == slot);
    errno = result;
    tell(slot, result == 0 ? block : NULL, size, alignment);
}

static void call_valloc(struct slot *slot)
{
    size_t size = odd_size();
    printf("valloc(%zu):", size);
    tell(slot, valloc(size), size, (size_t)getpagesize());
}

static void call_pvalloc(struct slot *slot)
{
    size_t page = (size_t)getpagesize(), size = odd_size();
    printf("pvalloc(%zu):", size);
    tell(slot, pvalloc(size), (size + page - 1) / page * page, page);
}

/* On failure the block is what it was. */
static void tell_resized(struct slot *slot, void *moved, size_t size)
{
    int error = errno;
    size_t kept = shown(size < slot->size ? size : slot->size);
    if (moved == NULL && size == 0 && slot->block != NULL) {
        printf(" freed errno %d\n", error);
        *slot = (struct slot){.block = NULL};
    } else if (moved == NULL) {
        printf(" NULL errno %d intact %d\n", error, is_intact(slot));
    } else {
        printf(" kept %d",
               slot->block == NULL || is_full_of(moved, kept, slot->byte));
        tell(slot, moved, size, 16);
    }
}

static void call_realloc(struct slot *slot)
{
    size_t size = odd_size();
    printf("realloc(%s, %zu):", slot->block != NULL ? "block" : "NULL", size);
    errno = KEPT_ERRNO;
    void *moved = realloc(slot->block, size);
    tell_resized(slot, moved, size);
}

static void call_reallocarray(struct slot *slot)
{
    size_t count = draw(5) == 0 ? impossible_size() : draw(300);
    size_t size = draw(5) == 0 ? impossible_size() : draw(300), bytes;
    bool overflows = __builtin_mul_overflow(count, size, &bytes);
    printf("reallocarray(%s, %zu, %zu):",
           slot->block != NULL ? "block" : "NULL", count, size);
    errno = KEPT_ERRNO;
    void *moved = reallocarray(slot->block, count, size);
    tell_resized(slot, moved, overflows ? SIZE_MAX : bytes);
}

/* One of its functions a call, and what must be there is there. */
static void call_others(void)
{
    errno = KEPT_ERRNO;
    free(NULL);
    printf("free(NULL): errno %d\n", errno);
    printf("malloc_usable_size(NULL): %zu\n", malloc_usable_size(NULL));
    printf("malloc_info(1): %d\n", malloc_info(1, stdout));
    printf("mallopt: %d %d %d %d\n", mallopt(12345, 1), mallopt(M_ARENA_MAX, 0),
           mallopt(M_ARENA_MAX, -1), mallopt(INT_MIN, INT_MIN));
}

static void make_one_call(struct slot *slot)
{
    static void (*const givers[])(struct slot * slot) = {
        call_malloc,        call_malloc,         call_calloc, call_memalign,
        call_aligned_alloc, call_posix_memalign, call_valloc, call_pvalloc,
    };
    switch (draw(10)) {
    case 0:
        call_others();
        break;
    case 1:
    case 2:
    case 3:
        call_realloc(slot);
        break;
    case 4:
        call_reallocarray(slot);
        break;
    default:
        if (slot->block != NULL) {
            drop(slot);
        } else {
            givers[draw(sizeof givers / sizeof givers[0])](slot);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    rng.state = strtoul(argv[1], NULL, 10);
    for (unsigned long n = strtoul(argv[2], NULL, 10); n > 0; n--) {
        make_one_call(&slots[draw(SLOTS)]);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        drop(&slots[i]);
    }
    return 0;
}
