/*
 * huge.h - huge pages for memory of a heap that is about to be filled.
 *
 * The first touch of a page is a fault. A huge page is one fault for 512 of
 * them, in a fifth of their time; but it takes its 2 MiB whatever the program
 * uses of them, and where the kernel is told that they are welcome, it later
 * makes such pages by itself, out of what was given back in parts. So they are
 * asked for where memory is taken in order, and for no longer than needed:
 *
 *     in use  | taken just now |  free: never touched, or given back
 *     --------+------------|---+----------------|-------------
 *                          |<----- region ----->|
 *                          multiple of 2 MiB
 *
 *   1. Who takes memory that reaches into a region all of which was free, and
 *      most of which has no memory behind it, advises the kernel.
 *   2. A first store there makes the page, and shows how long that takes. Where
 *      the kernel must move memory about for it, or the host of a virtual
 *      machine has none at hand, it may be milliseconds: after several such
 *      pages in a row nobody asks for a while.
 *   3. The advice ends when the next region is reached, or when something in
 *      this one goes back to the kernel. All the rest of the heap is advised
 *      against huge pages, so that it is one mapping to the kernel.
 *
 * From the advice on, all of the region counts as dirty: what nobody uses of it
 * goes back as other free memory does.
 *
 * This is for systems whose setting is `madvise`. Where it is `always`, the
 * kernel needs no advice, and must not be told the contrary; where it is
 * `never`, or the process has forbidden them by prctl, it takes none.
 *
 * Threads: whoever calls holds the lock of the heap's arena, but for
 * huge_is_wanted.
 */
#ifndef PTM_HUGE_H
#define PTM_HUGE_H

#include "base.h"
#include "config.h"
#include "heap.h"

/* Whether the system and the option leave it to us. */
bool huge_is_wanted(void);

/* Whether a chunk at place `from` that ends at `to` is the first to reach into
 * a region; the links of a free chunk behind it do so too. */
static inline bool huge_is_reached(size_t from, size_t to)
{
    return (from + MIN_CHUNK_SIZE - 1) / HUGE_PAGE_SIZE !=
           (to + MIN_CHUNK_SIZE - 1) / HUGE_PAGE_SIZE;
}

/* Memory at [from, to) is being taken out of what is free up to `end`: asks for
 * huge pages in the regions that it is the first to reach into. Nothing is said
 * of those that it does not. Returns how many bytes may be in memory sooner
 * than they are used. */
size_t huge_expect(struct heap *heap, size_t from, size_t to, size_t end);

/* Takes the advice back. */
void huge_end(struct heap *heap);

/* Pages of the heap are about to go back to the kernel. */
static inline void huge_note_returning(struct heap *heap, size_t from,
                                       size_t to)
{
    if (unlikely(from < heap->hoped.to && to > heap->hoped.from)) {
        huge_end(heap);
    }
}

#endif
