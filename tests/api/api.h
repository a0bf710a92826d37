/*
 * api.h - what the programs of this layer share: cmocka, the names that the
 * system's headers lack, and blocks whose bytes are known.
 *
 * Every test ends with a walk over the whole heap (heap_is_sound): a call that
 * returns the right thing and leaves a broken heap behind has failed.
 */
#ifndef PTM_TESTS_API_H
#define PTM_TESTS_API_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faulty_syscall.h"
#include "ptm.h"

void free_sized(void *memory, size_t size);
void free_aligned_sized(void *memory, size_t alignment, size_t size);
void cfree(void *memory);

enum {
    /* Many pages, and below the size of a direct mapping. */
    HEAP_BLOCK = 100000,
    /* Chunks above this are never cached. */
    CACHED_CHUNK_MAX = (256 << 10) + 16,
    /* Requests up to this may get an object of a run, which has no header. */
    RUN_OBJECT_MAX = 1024,
    /* Far above the threshold of direct mappings. */
    MAPPED_BLOCK = 3 << 20,
};

/* Sizes that no object can have: just above PTRDIFF_MAX, and those that wrap
 * around when a header or a page is added. */
static const size_t impossible_sizes[] = {
    (size_t)PTRDIFF_MAX + 1,
    (size_t)PTRDIFF_MAX + 4096,
    SIZE_MAX - (64UL << 20),
    SIZE_MAX - 65536,
    SIZE_MAX - 4096,
    SIZE_MAX - 4095,
    SIZE_MAX - 32,
    SIZE_MAX - 16,
    SIZE_MAX - 15,
    SIZE_MAX - 8,
    SIZE_MAX - 7,
    SIZE_MAX - 1,
    SIZE_MAX,
};

#define count_of(array) (sizeof(array) / sizeof(array)[0])

/* The same pointer, of which the compiler knows nothing any more. */
static inline void *opaque(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static inline void fill(void *block, size_t size, unsigned seed)
{
    unsigned char *bytes = block;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(seed + i * 7 + (i >> 8));
    }
}

static inline bool holds(const void *block, size_t size, unsigned seed)
{
    const unsigned char *bytes = block;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (unsigned char)(seed + i * 7 + (i >> 8))) {
            return false;
        }
    }
    return true;
}

static inline bool all_bytes_are(const void *block, size_t size, int byte)
{
    const unsigned char *bytes = opaque((void *)(uintptr_t)block);
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (unsigned char)byte) {
            return false;
        }
    }
    return true;
}

static inline bool is_aligned(const void *pointer, size_t alignment)
{
    return (uintptr_t)pointer % alignment == 0;
}

static inline size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* How many of the pages that lie wholly in [block, block + size) have memory
 * behind them. */
static inline size_t resident_pages(const void *block, size_t size)
{
    size_t page = page_size();
    uintptr_t first = ((uintptr_t)block + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)block + size) / page * page;
    size_t resident = 0;
    for (uintptr_t at = first; at < end; at += page) {
        unsigned char present = 0;
        if (mincore((void *)at, page, &present) == 0 && (present & 1) != 0) {
            resident++;
        }
    }
    return resident;
}

/* Every program of this layer also runs with tcache_max=0,mapped_cache=0, and
 * with run_max=0. */
static inline bool caches_are_on(void)
{
    const char *options = getenv("PTM_OPTIONS");
    return options == NULL || strstr(options, "tcache_max=0") == NULL;
}

/* Runs serve caches only. */
static inline bool runs_are_on(void)
{
    const char *options = getenv("PTM_OPTIONS");
    return caches_are_on() &&
           (options == NULL || strstr(options, "run_max=0") == NULL);
}

/* Blocks that were freed and wait in this thread's cache, or in a depot, count
 * as in use; freed mappings may stay for a while. This brings them all back,
 * so that accounts are exact and what can merge is merged; the top is left as
 * large as it is. Without caches there must be no need for it, and nothing is
 * done. */
static inline void settle(void)
{
    if (caches_are_on()) {
        malloc_trim(1UL << 40);
    }
}

static inline struct mallinfo2 settled_info(void)
{
    settle();
    return mallinfo2();
}

static inline size_t settled_use(void)
{
    return settled_info().uordblks;
}

/* The chunk size for a request: above 1 KiB the caches deal in 8 sizes an
 * octave, each 16 bytes larger than a round one. */
static inline size_t chunk_for(size_t size)
{
    size_t chunk = size < 24 ? 32 : (size + 8 + 15) / 16 * 16;
    if (!caches_are_on() || chunk <= 1024 || chunk > CACHED_CHUNK_MAX) {
        return chunk;
    }
    size_t octave = 1024;
    while (2 * octave < chunk - 16) {
        octave *= 2;
    }
    size_t step = octave / 8;
    return (chunk - 16 + step - 1) / step * step + 16;
}

/* The largest object that serves a request: a few sizes may share it, by steps
 * of an eighth of an octave. 0: none. */
static inline size_t object_for(size_t size)
{
    size_t octave = 256;
    while (2 * octave < size) {
        octave *= 2;
    }
    size_t step = size > 256 ? octave / 8 : 16;
    return size <= 1024 ? (size + step - 1) / step * step : 0;
}

/* The most that a request is given. What would remain of a free chunk may be
 * too small to stand alone. */
static inline size_t most_usable(size_t size)
{
    size_t chunk = chunk_for(size) - 8 + 16;
    return object_for(size) > chunk ? object_for(size) : chunk;
}

/* Plans for faulty_use. */
static const struct faulty_plan no_memory = {
    .kinds = FAULTY_ALL, .first = 1, .how_many = FAULTY_FOR_EVER};

static inline int heap_is_sound(void **state)
{
    (void)state;
    return ptm_check();
}

#define api_test(function) cmocka_unit_test_teardown(function, heap_is_sound)

#endif
