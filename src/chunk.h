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
 * The seal (seal.h) covers address, size, M, A and F. It says besides whether
 * a chunk that is not F is with the program, or CACHED: with a thread cache,
 * in an arena's depot, or on its way home.
 *
 * Who writes what. The low half is written under the lock of the arena. The
 * neighbour, that frees or takes the chunk before, changes P there; so the
 * high half is left alone then. The high half of a chunk that is not F is
 * changed without the lock, by whoever the chunk belongs to at that moment:
 * from IN USE to CACHED by the thread that frees it, and back by the one that
 * hands it out. As the two halves are stored apart, no store is lost. A new
 * chunk is written whole, by the lock's holder, before anyone else knows it.
 * All loads and stores are relaxed; who gets a chunk from another thread gets
 * it through a lock or an inbox, which order the rest.
 */
#ifndef PTM_CHUNK_H
#define PTM_CHUNK_H

#include "base.h"
#include "seal.h"
#include "size.h"

struct chunk {
    size_t prev_size;
    union {
        uint64_t size_word;
        uint32_t size_half[2]; /* size and flags; seal */
    };
    uintptr_t next_free;     /* links of a free chunk, in its bin, hidden ... */
    uintptr_t previous_free; /* ... as bins.h says; no chunk in the first one */
};

enum chunk_flag {
    CHUNK_PREV_INUSE = 1,
    CHUNK_IS_MMAPPED = 2,
    CHUNK_NON_MAIN_ARENA = 4,
    CHUNK_IS_FREE = 8,
    CHUNK_FLAGS = 15,
};

/* For who reads from outside. */
enum {
    CHUNK_WORD_OFFSET = offsetof(struct chunk, size_word),
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

/* Size and flags. */
static inline uint32_t chunk_low(const struct chunk *chunk)
{
    return __atomic_load_n(&chunk->size_half[0], __ATOMIC_RELAXED);
}

static inline uint32_t chunk_seal(const struct chunk *chunk)
{
    return PTM_SEALED ? __atomic_load_n(&chunk->size_half[1], __ATOMIC_RELAXED)
                      : 0;
}

static inline bool chunk_has_seal(const struct chunk *chunk, uint32_t seal)
{
    return !PTM_SEALED || is_equal_32(seal, &chunk->size_half[1]);
}

static inline void chunk_store_low(struct chunk *chunk, uint32_t low)
{
    __atomic_store_n(&chunk->size_half[0], low, __ATOMIC_RELAXED);
}

static inline void chunk_store_seal(struct chunk *chunk, uint32_t seal)
{
    if (PTM_SEALED) {
        __atomic_store_n(&chunk->size_half[1], seal, __ATOMIC_RELAXED);
    }
}

/* The seal of a chunk with this low half that is with the program. */
static inline uint32_t chunk_seal_in_use(const struct chunk *chunk,
                                         uint32_t low)
{
    return seal_of(chunk, low | CHUNK_PREV_INUSE);
}

/* The same, or that of a chunk that is F. */
static inline uint32_t chunk_seal_for(const struct chunk *chunk, uint32_t low)
{
    uint32_t seal = chunk_seal_in_use(chunk, low);
    return PTM_SEALED && (low & CHUNK_IS_FREE) != 0 ? seal ^ seal_keys.freed
                                                    : seal;
}

static inline size_t word_size(uint64_t word)
{
    return (uint32_t)word & ~(uint32_t)CHUNK_FLAGS;
}

/* Sealed, and not CACHED. */
static inline bool chunk_is_sealed(const struct chunk *chunk)
{
    return chunk_seal(chunk) == chunk_seal_for(chunk, chunk_low(chunk));
}

static inline bool chunk_is_cached(const struct chunk *chunk)
{
    return chunk_seal(chunk) ==
           (chunk_seal_for(chunk, chunk_low(chunk)) ^ seal_keys.cached);
}

/* The same of one that was in use, and is not F. What its seal covers need not
 * be looked at besides. */
static inline bool chunk_was_cached(const struct chunk *chunk)
{
    uint32_t seal = chunk_seal_in_use(chunk, chunk_low(chunk));
    return !PTM_SEALED || chunk_seal(chunk) == (seal ^ seal_keys.cached);
}

/* From IN USE to CACHED, or back. */
static inline void chunk_flip_cached(struct chunk *chunk)
{
    chunk_store_seal(chunk, chunk_seal(chunk) ^ seal_keys.cached);
}

/* From IN USE, with this seal, to CACHED, for one of several threads that try
 * at once. False: it is not IN USE, or not any more. */
static inline bool chunk_claim(struct chunk *chunk, uint32_t seal)
{
    return !PTM_SEALED ||
           __atomic_compare_exchange_n(&chunk->size_half[1], &seal,
                                       seal ^ seal_keys.cached, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* True for flags that a chunk of an arena with these arena flags may have. */
static inline bool low_is_plausible(uint32_t low, unsigned arena_flags)
{
    return word_size(low) >= MIN_CHUNK_SIZE &&
           (low & (CHUNK_IS_MMAPPED | CHUNK_NON_MAIN_ARENA)) == arena_flags;
}

static inline size_t chunk_size(const struct chunk *chunk)
{
    return word_size(chunk_low(chunk));
}

static inline bool chunk_prev_inuse(const struct chunk *chunk)
{
    return (chunk_low(chunk) & CHUNK_PREV_INUSE) != 0;
}

static inline bool chunk_is_mmapped(const struct chunk *chunk)
{
    return (chunk_low(chunk) & CHUNK_IS_MMAPPED) != 0;
}

static inline bool chunk_non_main_arena(const struct chunk *chunk)
{
    return (chunk_low(chunk) & CHUNK_NON_MAIN_ARENA) != 0;
}

static inline bool chunk_is_free(const struct chunk *chunk)
{
    return (chunk_low(chunk) & CHUNK_IS_FREE) != 0;
}

/* Writes the word of a chunk that is with the program, or F. */
static inline void chunk_set_head(struct chunk *chunk, size_t size,
                                  unsigned flags)
{
    uint32_t low = (uint32_t)size | flags;
    uint64_t seal = chunk_seal_for(chunk, low);
    __atomic_store_n(&chunk->size_word, seal << 32 | low, __ATOMIC_RELAXED);
}

/* The flags stay. */
static inline void chunk_resize(struct chunk *chunk, size_t size)
{
    chunk_set_head(chunk, size, chunk_low(chunk) & CHUNK_FLAGS);
}

static inline void chunk_mark_free(struct chunk *chunk)
{
    uint32_t low = chunk_low(chunk) | CHUNK_IS_FREE;
    chunk_set_head(chunk, word_size(low), low & CHUNK_FLAGS);
}

static inline void chunk_mark_inuse(struct chunk *chunk)
{
    uint32_t low = chunk_low(chunk) & ~(uint32_t)CHUNK_IS_FREE;
    chunk_set_head(chunk, word_size(low), low & CHUNK_FLAGS);
}

static inline void chunk_set_prev_inuse(struct chunk *chunk)
{
    chunk_store_low(chunk, chunk_low(chunk) | CHUNK_PREV_INUSE);
}

static inline void chunk_clear_prev_inuse(struct chunk *chunk)
{
    chunk_store_low(chunk, chunk_low(chunk) & ~(uint32_t)CHUNK_PREV_INUSE);
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
    return chunk->prev_size == length && chunk_low(chunk) == CHUNK_IS_MMAPPED &&
           chunk_is_sealed(chunk);
}

/* Whoever needs another view of the word writes a function above. */
#pragma GCC poison size_word size_half

#endif
