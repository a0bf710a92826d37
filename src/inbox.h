/*
 * inbox.h - how blocks get home to their arena without the arena's lock.
 *
 *     inbox --> parcel --> parcel --> parcel --> NULL      newest first
 *
 * Any thread pushes a parcel; the holder of the arena's lock takes all of them
 * at once. The head is one word: the newest parcel's address, and in its low
 * bits, which are zero, how many parcels there are, or 2047 of many more.
 *
 * Why it is right. A push writes the link of its parcel, then swaps the head
 * from what it has read to its parcel, with release order; on failure it reads
 * again. Taking exchanges the head for nothing with acquire order. So the taker
 * sees every link, and everything the pushers did to the parcels and to the
 * blocks in them, of every parcel it got: the release of each push is read by
 * the next push's swap, which continues its release sequence as a
 * read-modify-write. Nobody removes single parcels, so a head that was read and
 * is swapped is still the head, or has been taken and put there anew with as
 * many below it, and then linking to it is right as well: there is no ABA. A
 * push is lock-free, taking is wait-free.
 *
 * docs/inbox.pml is a model of this for spin; the test suite checks it.
 */
#ifndef PTM_INBOX_H
#define PTM_INBOX_H

#include "base.h"
#include "parcel.h"

struct inbox {
    uintptr_t head;
};

#define INBOX_COUNT_MASK ((uintptr_t)PARCEL_SIZE - 1)

static inline struct parcel *inbox_newest(uintptr_t head)
{
    return (struct parcel *)(head & ~INBOX_COUNT_MASK);
}

static inline size_t inbox_depth_of(uintptr_t head)
{
    return head & INBOX_COUNT_MASK;
}

/* Returns how many parcels wait now. */
static inline size_t inbox_push(struct inbox *inbox, struct parcel *parcel)
{
    uintptr_t head = __atomic_load_n(&inbox->head, __ATOMIC_RELAXED);
    size_t depth;
    do {
        parcel_set_next(parcel, inbox_newest(head));
        depth = min_size(inbox_depth_of(head) + 1, INBOX_COUNT_MASK);
    } while (!__atomic_compare_exchange_n(&inbox->head, &head,
                                          (uintptr_t)parcel | depth, true,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    return depth;
}

static inline bool inbox_has_any(const struct inbox *inbox)
{
    return __atomic_load_n(&inbox->head, __ATOMIC_RELAXED) != 0;
}

/* All parcels, linked, or NULL; `count` is how many, or 2047. */
static inline struct parcel *inbox_take(struct inbox *inbox, size_t *count)
{
    uintptr_t head =
        inbox_has_any(inbox)
            ? __atomic_exchange_n(&inbox->head, 0, __ATOMIC_ACQUIRE)
            : 0;
    *count = inbox_depth_of(head);
    return inbox_newest(head);
}

#endif
