/*
 * bins.h - the free chunks of one arena, by size.
 *
 * A bin is a doubly linked list through the free chunks themselves, newest
 * first. Bitmaps say which bins have chunks, so that the smallest sufficient
 * one is found with a few bit scans and nothing is ever walked:
 *
 *     exact_map    1 bit for each size below 1 KiB
 *     octave_map   1 bit for each octave above  ->  sub_map[octave], 32 bits
 *
 * A request that has an exact bin takes from it or from the next size up that
 * has one. A larger one looks at the first few chunks of its own bin, which
 * may be too small by up to 3 %, and then takes the first of the next bin,
 * which cannot be.
 *
 * Invariants: a bit is set if and only if its bin has a chunk; every chunk is
 * in the bin of its size, has F set and a matching footer; `bytes` is the sum
 * of their sizes and `count` their number.
 *
 * Threads: whoever calls holds the lock of the arena that the bins are in.
 * What a freed block holds is not believed: a link is followed or changed
 * only after the chunk that it names has proven itself by its seal and both
 * sides of it agree, else it is a "broken free list". Links are kept xored with
 * a secret and with their own address, turned around: so they tell nobody where
 * the heap is, and what was meant to be a link elsewhere leads nowhere.
 */
#ifndef PTM_BINS_H
#define PTM_BINS_H

#include "base.h"
#include "chunk.h"

struct bins {
    size_t bytes;
    size_t count;
    uint64_t exact_map;
    uint32_t octave_map;
    uint32_t sub_map[OCTAVES];
    unsigned owner; /* the arena's number, for fatal lines */
    struct chunk *exact[EXACT_BINS];
    struct chunk *large[OCTAVES][SUB_BINS];
};

/* Adds a free chunk: F is set and the footer written. */
void bins_insert(struct bins *bins, struct chunk *chunk);

/* Takes one certain chunk out. */
void bins_remove(struct bins *bins, struct chunk *chunk);

/* Takes out a chunk of at least `size` bytes, a small one if there is a
 * choice; NULL when there is none. The chunk still has F set. */
struct chunk *bins_take(struct bins *bins, size_t size);

/* The same for a chunk of at least 1 KiB whose mem is a multiple of `alignment`
 * and that is to be cut out of the one that is returned. Looks at the first few
 * chunks of a few bins, of the size's own and up; NULL if they will not do. */
struct chunk *bins_take_aligned(struct bins *bins, size_t size,
                                size_t alignment);

/* For those who look at every bin: the positions from 0 are the exact bins,
 * then the large ones, by rising size. */
enum {
    BIN_POSITIONS = EXACT_BINS + OCTAVES * SUB_BINS,
};

/* The bin that holds chunks of this size. */
unsigned bins_position_of(size_t size);

/* The first chunk of the first bin at or behind `*position` that has one, or
 * NULL; *position is left at that bin. The rest of it follows by
 * chunk_next_free. */
struct chunk *bins_first_from(const struct bins *bins, unsigned *position);

/* The chunk behind this one in its bin, or NULL; a link that is broken ends the
 * program. */
struct chunk *bins_next(const struct bins *bins, const struct chunk *chunk);

/* Whether the bitmaps call this bin occupied. */
bool bins_map_says(const struct bins *bins, unsigned position);

/* Whether the octave map says of each octave what its own map says. */
bool bins_maps_agree(const struct bins *bins);

/* A link as it stands in memory, or what it leads to. */
static inline uintptr_t link_turned(const uintptr_t *link, uintptr_t value)
{
    if (!PTM_SEALED) {
        return value;
    }
    return value ^ seal_keys.link ^ __builtin_bswap64((uintptr_t)link);
}

static inline struct chunk *link_read(const uintptr_t *link)
{
    return (struct chunk *)link_turned(link, *link);
}

static inline void link_write(uintptr_t *link, const struct chunk *chunk)
{
    *link = link_turned(link, (uintptr_t)chunk);
}

static inline struct chunk *chunk_next_free(const struct chunk *chunk)
{
    return link_read(&chunk->next_free);
}

static inline struct chunk *chunk_previous_free(const struct chunk *chunk)
{
    return link_read(&chunk->previous_free);
}

#endif
