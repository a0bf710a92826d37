/*
 * parcel.h - blocks on their way home: an array of them, outside of the heaps.
 *
 *     outbox --> | link | count | block+class | block+class | ... |
 *       inbox --> parcel --> parcel --> ...
 *         pool --> parcel --> parcel --> ...                empty ones
 *
 * A thread that frees blocks of another arena writes them down here, with the
 * class that each will join, and touches none of them again; nor does the
 * holder of the arena's lock, who sorts them by what is written here. Between
 * two processors a line of a block moves once, when it is freed, and back when
 * it is used again: not for the way.
 *
 * An entry is the block's address with the class in the eight bits above it.
 *
 * Empty parcels are in one pool for the process, a stack that any thread pushes
 * to and pops from without a lock. They are never unmapped, so a slow thread
 * may read the link of one that others have taken long since. There are as
 * many as ever were under way at once.
 *
 * Why the pool is right. Its head is one word: the top parcel's address, whose
 * low bits are zero, and a count of all pops. A pop reads the head, then the
 * link of the parcel on top, and swaps the head for that link and the next
 * count. If the parcel was popped and pushed again meanwhile, its link may be
 * another, but then the count has moved on and the swap fails. (The count has
 * 27 bits. To be deceived, a thread must sleep between two instructions while
 * others pop exactly a multiple of 2^27 parcels, some seconds of nothing else,
 * and leave the same one on top.) A push swaps its parcel onto whatever is on
 * top, and does not care what happened below.
 *
 * Pushes release, and pops read the head with acquire order. So who pops sees
 * the link, and everything that was done to the parcel before it was pushed:
 * all changes of the head are read-modify-writes, and so continue the release
 * sequence of every push before them.
 *
 * docs/pool.pml is a model of this for spin; the test suite checks it.
 */
#ifndef PTM_PARCEL_H
#define PTM_PARCEL_H

#include "base.h"
#include "class.h"
#include "describe.h"

struct parcel {
    struct parcel *next; /* in an inbox, or in the pool */
    size_t count;
    uint64_t entries[PARCEL_BLOCKS];
};

enum {
    PARCEL_SIZE = sizeof(struct parcel),
    PARCEL_CLASS_SHIFT = 56,
};

_Static_assert((PARCEL_SIZE & (PARCEL_SIZE - 1)) == 0, "parcels are aligned");
_Static_assert(CLASS_COUNT <= 256 && ADDRESS_BITS <= PARCEL_CLASS_SHIFT,
               "an entry holds an address and a class");

static inline struct parcel *parcel_next(const struct parcel *parcel)
{
    return __atomic_load_n(&parcel->next, __ATOMIC_RELAXED);
}

static inline void parcel_set_next(struct parcel *parcel, struct parcel *next)
{
    __atomic_store_n(&parcel->next, next, __ATOMIC_RELAXED);
}

static inline uint64_t parcel_entry(const void *mem, unsigned size_class)
{
    return (uintptr_t)mem | (uint64_t)size_class << PARCEL_CLASS_SHIFT;
}

/* Whether this is behind the last entry of a parcel, or in front of the first.
 */
static inline bool parcel_ends_at(const uint64_t *entry)
{
    return (uintptr_t)entry % PARCEL_SIZE == 0;
}

/* The parcel whose entries lie before this one, which may be one past the end.
 */
static inline struct parcel *parcel_before(const uint64_t *entry)
{
    return (struct parcel *)(((uintptr_t)entry - 1) &
                             ~((uintptr_t)PARCEL_SIZE - 1));
}

/* There is room. */
static inline void parcel_add(struct parcel *parcel, const void *mem,
                              unsigned size_class)
{
    parcel->entries[parcel->count++] = parcel_entry(mem, size_class);
}

static inline void *entry_mem(uint64_t entry)
{
    return (void *)(uintptr_t)(entry &
                               (((uint64_t)1 << PARCEL_CLASS_SHIFT) - 1));
}

static inline unsigned entry_class(uint64_t entry)
{
    return (unsigned)(entry >> PARCEL_CLASS_SHIFT);
}

/* An empty parcel, at a multiple of its size, or NULL when there is no memory
 * for one, or was none a while ago (patience.h). */
struct parcel *parcel_get(void);

/* Nobody needs what is written there any more. */
void parcel_put(struct parcel *parcel);

extern const struct description parcel_description[];

#endif
