/*
 * size.h - from a request in bytes to a chunk size, and from a chunk size to
 * the bin that holds free chunks of it.
 *
 *   request        what the program asked for
 *   chunk size     request + 8 for the size word, in steps of 16, at least 32
 *   usable size    chunk size - 8: the block runs into the next chunk's
 *                  prev_size, which only a free chunk needs
 *
 * Bins below 1 KiB hold one size each. Above, an octave (sizes from 2^n to
 * 2^(n+1)) has 32 bins of equal width:
 *
 *   1024      1056      1088         ...     2048      2112      2176
 *   | 0,0     | 0,1     | 0,2              | | 1,0     | 1,1     |
 */
#ifndef PTM_SIZE_H
#define PTM_SIZE_H

#include "base.h"

enum {
    EXACT_BINS = EXACT_BIN_LIMIT / MALLOC_ALIGNMENT,
    OCTAVES = HEAP_MAX_SHIFT - EXACT_BIN_SHIFT,
    SUB_BINS = 1 << SUB_BIN_SHIFT,
};

_Static_assert(EXACT_BINS == 64, "the exact bins have one 64-bit map");
_Static_assert(SUB_BINS == 32 && OCTAVES <= 32, "maps are 32 bits wide");

/* Chunk size for a request of at most PTRDIFF_MAX bytes. */
static inline size_t request_to_chunk_size(size_t request)
{
    size_t size = round_up(request + sizeof(size_t), MALLOC_ALIGNMENT);
    return max_size(size, MIN_CHUNK_SIZE);
}

static inline size_t usable_size_of(size_t chunk_size)
{
    return chunk_size - sizeof(size_t);
}

static inline bool size_has_exact_bin(size_t size)
{
    return size < EXACT_BIN_LIMIT;
}

static inline unsigned exact_bin_of(size_t size)
{
    return (unsigned)(size / MALLOC_ALIGNMENT);
}

struct large_bin {
    unsigned octave;
    unsigned sub;
};

static inline struct large_bin large_bin_of(size_t size)
{
    unsigned bit = highest_bit(size);
    return (struct large_bin){
        .octave = bit - EXACT_BIN_SHIFT,
        .sub = (unsigned)(size >> (bit - SUB_BIN_SHIFT)) & (SUB_BINS - 1),
    };
}

/* The largest chunk a heap can hold is smaller than the heap: its header and
 * the fence behind its last chunk need room, and top must keep a chunk. */
#define CHUNK_SIZE_MAX (HEAP_MAX_SIZE - 32768)

#endif
