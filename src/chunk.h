/*
 * chunk.h - the boundary-tag chunk: the only file that touches a size word.
 *
 *            chunk ->  +0   prev_size   (last 8 bytes of the previous block,
 *                                        or its footer when that is free)
 *                      +8   size word
 *              mem ->  +16  the user's block ...
 *     chunk + size ->       prev_size of the next chunk (still the block's)
 *                           size word of the next chunk
 *
 * A free chunk keeps two links in its block and repeats its size behind it:
 *
 *     | prev_size | size|flags | next | previous | ...free... | size |
 *
 * The size word:
 *
 *     63            32 31                        4  3   2   1   0
 *     |    seal       |   size, a multiple of 16  | F | A | M | P |
 *
 *     P  the previous chunk is in use; with P clear, prev_size is its footer
 *     M  a direct mapping: the size field is 0, prev_size holds the length
 *     A  belongs to an arena that is not the main one
 *     F  this chunk is free: in a bin, merged into another, or top
 *
 * The seal is zero and checked to be zero. P is changed by the neighbour under
 * the arena's lock while others may read the word without it; so a word is
 * written only under the lock, whole, by one relaxed store, and read by one
 * relaxed load. For a direct mapping the writer is the only one who knows the
 * address.
 */
#ifndef PTM_CHUNK_H
#define PTM_CHUNK_H

#include "base.h"
#include "size.h"

struct chunk {
    size_t prev_size;
    uint64_t size_word;
    struct chunk *next_free;     /* links of a free chunk, in its bin */
    struct chunk *previous_free; /* NULL in the first one */
};

enum chunk_flag {
    CHUNK_PREV_INUSE = 1,
    CHUNK_IS_MMAPPED = 2,
    CHUNK_NON_MAIN_ARENA = 4,
    CHUNK_IS_FREE = 8,
    CHUNK_FLAGS = 15,
};

#define CHUNK_HEADER_SIZE (offsetof(struct chunk, next_free))
_Static_assert(CHUNK_HEADER_SIZE == MALLOC_ALIGNMENT, "mem is aligned");
_Static_assert(sizeof(struct chunk) == MIN_CHUNK_SIZE, "links fit the least");

static inline void *chunk2mem(const struct chunk *chunk)
{
    return (void *)((uintptr_t)chunk + CHUNK_HEADER_SIZE);
}

static inline struct chunk *mem2chunk(const void *mem)
{
    return (struct chunk *)((uintptr_t)mem - CHUNK_HEADER_SIZE);
}

static inline struct chunk *chunk_at(const void *base, size_t offset)
{
    return (struct chunk *)((uintptr_t)base + offset);
}

static inline uint64_t chunk_word(const struct chunk *chunk)
{
    return __atomic_load_n(&chunk->size_word, __ATOMIC_RELAXED);
}

static inline void chunk_store_word(struct chunk *chunk, uint64_t word)
{
    __atomic_store_n(&chunk->size_word, word, __ATOMIC_RELAXED);
}

static inline size_t word_size(uint64_t word)
{
    return (uint32_t)word & ~(uint32_t)CHUNK_FLAGS;
}

static inline bool word_has_seal(uint64_t word)
{
    return word >> 32 == 0;
}

/* True for words that a chunk of an arena with these arena flags may have;
 * says nothing of what lies around the chunk. */
static inline bool word_is_plausible(uint64_t word, unsigned arena_flags)
{
    return word_has_seal(word) && word_size(word) >= MIN_CHUNK_SIZE &&
           (word & (CHUNK_IS_MMAPPED | CHUNK_NON_MAIN_ARENA)) == arena_flags;
}

static inline size_t chunk_size(const struct chunk *chunk)
{
    return word_size(chunk_word(chunk));
}

static inline bool chunk_prev_inuse(const struct chunk *chunk)
{
    return (chunk_word(chunk) & CHUNK_PREV_INUSE) != 0;
}

static inline bool chunk_is_mmapped(const struct chunk *chunk)
{
    return (chunk_word(chunk) & CHUNK_IS_MMAPPED) != 0;
}

static inline bool chunk_non_main_arena(const struct chunk *chunk)
{
    return (chunk_word(chunk) & CHUNK_NON_MAIN_ARENA) != 0;
}

static inline bool chunk_is_free(const struct chunk *chunk)
{
    return (chunk_word(chunk) & CHUNK_IS_FREE) != 0;
}

static inline void chunk_set_head(struct chunk *chunk, size_t size,
                                  unsigned flags)
{
    chunk_store_word(chunk, (uint64_t)size | flags);
}

/* Changes the size, and F to `free`; P and A stay. */
static inline void chunk_resize(struct chunk *chunk, size_t size)
{
    chunk_set_head(chunk, size, chunk_word(chunk) & CHUNK_FLAGS);
}

static inline void chunk_mark_free(struct chunk *chunk)
{
    chunk_store_word(chunk, chunk_word(chunk) | CHUNK_IS_FREE);
}

static inline void chunk_mark_inuse(struct chunk *chunk)
{
    chunk_store_word(chunk, chunk_word(chunk) & ~(uint64_t)CHUNK_IS_FREE);
}

static inline void chunk_set_prev_inuse(struct chunk *chunk)
{
    chunk_store_word(chunk, chunk_word(chunk) | CHUNK_PREV_INUSE);
}

static inline void chunk_clear_prev_inuse(struct chunk *chunk)
{
    chunk_store_word(chunk, chunk_word(chunk) & ~(uint64_t)CHUNK_PREV_INUSE);
}

static inline struct chunk *chunk_next(const struct chunk *chunk)
{
    return chunk_at(chunk, chunk_size(chunk));
}

/* Valid while P is clear. */
static inline struct chunk *chunk_previous(const struct chunk *chunk)
{
    return chunk_at(chunk, -chunk->prev_size);
}

/* Repeats the size of a free chunk at its end. */
static inline void chunk_set_footer(struct chunk *chunk)
{
    chunk_next(chunk)->prev_size = chunk_size(chunk);
}

static inline bool chunk_footer_matches(const struct chunk *chunk)
{
    return chunk_next(chunk)->prev_size == chunk_size(chunk);
}

/* A direct mapping: `length` runs from the chunk to the end of the map. */
static inline void chunk_set_mapped(struct chunk *chunk, size_t length)
{
    chunk->prev_size = length;
    chunk_set_head(chunk, 0, CHUNK_IS_MMAPPED);
}

static inline bool chunk_is_mapped_with(const struct chunk *chunk,
                                        size_t length)
{
    return chunk->prev_size == length && chunk_word(chunk) == CHUNK_IS_MMAPPED;
}

/* Whoever needs another view of the word writes a function above. */
#pragma GCC poison size_word

#endif
