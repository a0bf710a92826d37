/*
 * known.c - asks for a known sum by every function of malloc's family.
 *
 * bench/counts/held runs it in front of each allocator and compares: prints
 * `asked` and the bytes that are live at its peak, of which each kind of call
 * has more than the 1 % that a look may miss. The last peak is the one that
 * counts, so what was freed or shrunk before must have been taken off; and
 * half of the blocks are freed by another thread than asked for them.
 */
#define _GNU_SOURCE
#include "../workloads/bench.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

enum { BLOCKS = 4000, PART = 1000000, KINDS = 8 };

static size_t live;
static char *small[BLOCKS];

static void *keep(void *block, size_t size)
{
    memset(block_require(block), 1, size);
    live += size;
    return block;
}

static size_t small_size(size_t i)
{
    return 1 + i * 37 % 900;
}

static void *free_odd_ones(void *unused)
{
    for (size_t i = 1; i < BLOCKS; i += 2) {
        free(small[i]);
        live -= small_size(i);
    }
    return unused;
}

static void ask_for_small_ones(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        small[i] = keep(malloc(small_size(i)), small_size(i));
    }
    pthread_t other;
    if (pthread_create(&other, NULL, free_odd_ones, NULL) != 0 ||
        pthread_join(other, NULL) != 0) {
        bench_fail("no thread");
    }
}

static void *posix_block(size_t size)
{
    void *block = NULL;
    return posix_memalign(&block, 4096, size) == 0 ? block : NULL;
}

static void ask_for_parts(void *parts[KINDS])
{
    parts[0] = keep(malloc(PART), PART);
    parts[1] = keep(calloc(PART / 8, 8), PART);
    parts[2] = keep(memalign(64, PART), PART);
    parts[3] = keep(aligned_alloc(64, PART), PART);
    parts[4] = keep(posix_block(PART), PART);
    parts[5] = keep(valloc(PART), PART);
    parts[6] = keep(realloc(block_require(malloc(100)), PART), PART);
    parts[7] = keep(reallocarray(block_require(malloc(2 * PART)), PART / 10, 5),
                    PART / 2);
}

int main(void)
{
    void *parts[KINDS];
    ask_for_small_ones();
    ask_for_parts(parts);
    void *last = keep(malloc(4 * PART), 4 * PART);
    size_t at_peak = live;
    free(last); /* the call that looks */
    for (size_t i = 0; i < KINDS; i++) {
        free(parts[i]);
    }
    printf("asked %zu\n", at_peak);
    return 0;
}
