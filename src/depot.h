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
 * enough for its class; `bytes` is the sum of the class sizes.
 *
 * Threads: whoever calls holds the lock of the arena.
 */
#ifndef PTM_DEPOT_H
#define PTM_DEPOT_H

#include "base.h"
#include "class.h"

struct magazine {
    struct magazine *next;
    size_t count;
    void *mems[MAGAZINE_MAX];
};

struct depot {
    struct magazine *full[CLASS_COUNT];
    struct magazine *spare; /* empty ones */
    char *metadata;         /* where the next new one will be */
    size_t metadata_left;
    size_t bytes;
    size_t blocks;
    unsigned hand; /* the class to shrink next */
};

/* Stores `count` blocks of a class; returns how many found room, fewer only
 * when there is no memory for a magazine. */
size_t depot_give(struct depot *depot, unsigned size_class, void *const *mems,
                  size_t count);

/* Takes up to `most` blocks of a class; returns how many. */
size_t depot_take(struct depot *depot, unsigned size_class, void **mems,
                  size_t most);

/* Takes up to `most` blocks of whatever class comes next in turn. */
size_t depot_take_any(struct depot *depot, void **mems, size_t most);

#endif
