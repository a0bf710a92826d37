/*
 * inbox.h - how a block gets home to its arena without the arena's lock.
 *
 *     inbox --> chunk --> chunk --> chunk --> NULL      newest first
 *
 * Any thread pushes a chain of blocks; the holder of the arena's lock takes
 * them all at once. The links are in the blocks.
 *
 * Why it is right. A push writes the link of its last block, then swaps the
 * head from what it has read to its first block, with release order; on
 * failure it reads again. Taking exchanges the head for NULL with acquire
 * order. So the taker sees every link, and everything the pushers did to the
 * blocks, of every chain whose head it got: the release of each push is read
 * by the next push's swap, which continues its release sequence as a
 * read-modify-write. Nobody removes single blocks, so a head that was read
 * and is swapped is still the head, or has been taken and put there anew, and
 * then linking to it is right as well: there is no ABA. A push is lock-free,
 * taking is wait-free.
 *
 * docs/inbox.pml is a model of this for spin; the test suite checks it.
 */
#ifndef PTM_INBOX_H
#define PTM_INBOX_H

#include "base.h"
#include "chunk.h"

struct inbox {
    struct chunk *head;
    size_t bytes; /* pushed and not yet sorted; of no moment, a bound */
};

/* `first` leads to `last` by chunk_next_sent; together they have `bytes`.
 * Returns how many bytes wait now. */
static inline size_t inbox_push(struct inbox *inbox, struct chunk *first,
                                struct chunk *last, size_t bytes)
{
    struct chunk *head = __atomic_load_n(&inbox->head, __ATOMIC_RELAXED);
    do {
        chunk_set_next_sent(last, head);
    } while (!__atomic_compare_exchange_n(&inbox->head, &head, first, true,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    return __atomic_add_fetch(&inbox->bytes, bytes, __ATOMIC_RELAXED);
}

static inline void inbox_count_out(struct inbox *inbox, size_t bytes)
{
    if (bytes > 0) {
        __atomic_sub_fetch(&inbox->bytes, bytes, __ATOMIC_RELAXED);
    }
}

static inline bool inbox_has_any(const struct inbox *inbox)
{
    return __atomic_load_n(&inbox->head, __ATOMIC_RELAXED) != NULL;
}

/* The whole chain, or NULL. The taker counts it out when it sorts it: the sum
 * may pass below zero for a moment, when a chain is sorted before its pusher
 * has counted it in. */
static inline struct chunk *inbox_take(struct inbox *inbox)
{
    return inbox_has_any(inbox)
               ? __atomic_exchange_n(&inbox->head, NULL, __ATOMIC_ACQUIRE)
               : NULL;
}

#endif
