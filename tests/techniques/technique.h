/*
 * technique.h - what the programs of this folder share.
 *
 * Each is one published technique against ptmalloc, done again by someone who
 * knows ptm: he has the bug that the technique needs (an overflow, a double
 * free, a write after free), may read whatever lies in the heap, and may have
 * any call of malloc's family made. He does not know the keys. He has won when
 * malloc gives him memory that is not free, or a word outside of the heap has
 * changed; he then calls `succeeds`. Where nothing came of it he calls `fails`.
 */
#ifndef PTM_TESTS_TECHNIQUE_H
#define PTM_TESTS_TECHNIQUE_H

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    /* A size that every malloc keeps a fast list for. */
    SMALL = 120,

    /* A size whose blocks are chunks of a heap. */
    CHUNKED = 2040,

    /* A size that is mapped. */
    MAPPED = 1 << 20,

    PREV_INUSE = 1,
    IS_MMAPPED = 2,
    NON_MAIN_ARENA = 4,
    IS_FREE = 8,

    /* How often an attacker asks before he gives up. */
    PATIENCE = 2000,

    /* How far behind a mapping its neighbours are sure to begin. */
    OVERRUN = 64 << 10,

    STATUS_SUCCEEDED = 3,
};

/* The same pointer, of which the compiler knows nothing any more. */
static inline void *opaque(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static inline void say(const char *line)
{
    if (write(1, line, strlen(line)) < 0) {
        _exit(1);
    }
}

_Noreturn static inline void succeeds(const char *what)
{
    say("succeeded: ");
    say(what);
    say("\n");
    _exit(STATUS_SUCCEEDED);
}

_Noreturn static inline void fails(void)
{
    say("failed\n");
    _exit(0);
}

/* The word before a block: size and flags, and the seal over them in the high
 * half. */
static inline uint64_t *size_word(void *block)
{
    return (uint64_t *)((uintptr_t)opaque(block) - 8);
}

static inline uint64_t *prev_size(void *block)
{
    return (uint64_t *)((uintptr_t)opaque(block) - 16);
}

/* Other sizes and flags under the seal that is there. */
static inline void forge_low(void *block, uint32_t low)
{
    *size_word(block) = *size_word(block) >> 32 << 32 | low;
    opaque(block);
}

static inline uint32_t low_of(void *block)
{
    return (uint32_t)*size_word(block);
}

static inline uint32_t size_of(void *block)
{
    return low_of(block) & ~15u;
}

/* What a size word of glibc's would be: no seal. */
static inline void forge_plain(void *block, uint64_t word)
{
    *size_word(block) = word;
    opaque(block);
}

/* The n-th word of a block that the program has freed, or never had. */
static inline uint64_t *word_of(void *block, size_t n)
{
    return (uint64_t *)opaque(block) + n;
}

/* Free for good, past all caches: what the traffic of a busy program brings
 * about sooner or later. */
static inline void settle(void)
{
    malloc_trim((size_t)1 << 30);
}

static inline void free_for_good(void *block)
{
    free(opaque(block));
    settle();
}

static inline int overlap(const void *a, size_t a_size, const void *b,
                          size_t b_size)
{
    return (uintptr_t)a < (uintptr_t)b + b_size &&
           (uintptr_t)b < (uintptr_t)a + a_size;
}

/* Asks for blocks of a size until one lies in [target, target + length), which
 * is not malloc's to give. */
static inline void grab(size_t size, const void *target, size_t length)
{
    for (int i = 0; i < PATIENCE; i++) {
        void *block = opaque(malloc(size));
        if (block != NULL && overlap(block, size, target, length)) {
            succeeds("malloc returns memory that is not free");
        }
    }
}

/* Asks for blocks until two of them overlap: all of one size. */
static inline void grab_twice(size_t size)
{
    enum { BLOCKS = 200 };
    void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = opaque(malloc(size));
        for (int j = 0; j < i; j++) {
            if (overlap(blocks[i], size, blocks[j], size)) {
                succeeds("malloc returns one block twice");
            }
        }
    }
}

/* The block that top would be: the last chunk before memory that was never
 * used. Found as anyone can who reads size words. */
static inline void *find_top(void *block)
{
    for (;;) {
        void *next = (char *)block + size_of(block);
        if (size_of(next) == 0) {
            return block;
        }
        block = next;
    }
}

/* Behind the end of a large block: whatever the kernel has put there. All that
 * leads to the heap is made to lead to `target`. */
static inline void overrun(void *large, size_t size, void *victim, void *target)
{
    uint64_t *end = (uint64_t *)((uintptr_t)large + size);
    uint64_t heap = (uintptr_t)victim >> 26;
    for (size_t i = 0; i < OVERRUN / sizeof *end; i++) {
        volatile uint64_t *word = end + i;
        *word = *word >> 26 == heap ? (uintptr_t)target : *word;
    }
}

/* Free chunks' links are not raw pointers; but he who reads one of which he
 * knows what it holds can write others: each is the pointer, xored with a
 * secret and with the bytes of its own address turned around. */
static inline uint64_t link_secret(void *freed, size_t n, uint64_t known)
{
    uint64_t *link = word_of(freed, n);
    return *link ^ known ^ __builtin_bswap64((uintptr_t)link);
}

static inline void forge_link(void *freed, size_t n, uint64_t secret,
                              void *chunk)
{
    uint64_t *link = word_of(freed, n);
    *link = (uintptr_t)chunk ^ secret ^ __builtin_bswap64((uintptr_t)link);
    opaque(freed);
}

/* Which link; the newest chunk of a bin has none in PREVIOUS. */
enum { NEXT = 0, PREVIOUS = 1 };

static inline void *chunk_of(void *block)
{
    return (char *)block - 16;
}

#endif
