/*
 * depot.h - the blocks that an arena keeps ready for the caches of its
 * threads, in magazines.
 *
 *     depot --class--> magazine --next--> magazine ...
 *                      | count | mem | mem | mem | ...
 *
 * A magazine is an array of pointers, outside of the heaps: trading blocks by
 * the dozen touches none of them. Magazines come from the arena's metadata,
 * never leave the arena, and are used again when empty.
 *
 * Invariants: every block in a depot is CACHED, of this arena, and large
 * enough for its class; `bytes` is the sum of the class sizes; the map tells
 * which classes have magazines.
 *
 * Threads: whoever calls holds the lock of the arena.
 */
#ifndef PTM_DEPOT_H
#define PTM_DEPOT_H

#include "base.h"
#include "class.h"
#include "patience.h"

enum {
    DEPOT_MAP_WORDS = (CLASS_COUNT + 63) / 64,
};

struct magazine {
    struct magazine *next;
    size_t count;
    void *mems[MAGAZINE_MAX];
};

struct depot {
    struct magazine *full[CLASS_COUNT];
    uint64_t map[DEPOT_MAP_WORDS]; /* a bit for each class that has any */
    struct magazine *spare;        /* empty ones */
    char *metadata;                /* where the next new one will be */
    size_t metadata_left;
    size_t bytes;
    size_t blocks; /* may be read without the lock, as a hint */
    size_t low;    /* fewest blocks for a while: that many were not needed */
    unsigned hand; /* the class to shrink next */
    struct patience patience; /* before metadata is asked for again */
};

/* Whether the map says that the class has magazines. */
static inline bool depot_has(const struct depot *depot, unsigned size_class)
{
    return (depot->map[size_class / 64] >> size_class % 64 & 1) != 0;
}

/* Stores `count` blocks of a class; returns how many found room, fewer only
 * when there is no memory for a magazine, or was none a while ago. */
size_t depot_give(struct depot *depot, unsigned size_class, void *const *mems,
                  size_t count);

static inline void depot_set_blocks(struct depot *depot, size_t blocks)
{
    __atomic_store_n(&depot->blocks, blocks, __ATOMIC_RELAXED);
}

/* Stores one block where there is room for it already; false when there is
 * none. */
static inline bool depot_put(struct depot *depot, unsigned size_class,
                             void *mem)
{
    struct magazine *magazine = depot->full[size_class];
    if (magazine == NULL || magazine->count == MAGAZINE_MAX) {
        return false;
    }
    magazine->mems[magazine->count++] = mem;
    depot->bytes += class_size(size_class);
    depot_set_blocks(depot, depot->blocks + 1);
    return true;
}

/* Takes up to `most` blocks of a class; returns how many. */
size_t depot_take(struct depot *depot, unsigned size_class, void **mems,
                  size_t most);

/* Takes up to `most` blocks of whatever class comes next in turn, and says
 * which that is. */
size_t depot_take_any(struct depot *depot, unsigned *size_class, void **mems,
                      size_t most);

/* Whether there is any; a hint to who has no lock. */
static inline bool depot_has_any(const struct depot *depot)
{
    return __atomic_load_n(&depot->blocks, __ATOMIC_RELAXED) > 0;
}

#endif
