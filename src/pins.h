/*
 * pins.h - what a block pins: free memory that cannot go back to the kernel,
 * because the block lies on the same page.
 *
 *     |free|block|free    |block|free .....|.....free|
 *     page                      page       page
 *
 * What is free on a page is shared among the blocks there: in runs, by all in
 * the quarter that the page is; between chunks, by the two that the free chunk
 * lies between, or by one, if the other is on another page. So the sum over all
 * blocks is what is free on pages that have any. Blocks in caches have no share
 * and are not free.
 *
 * Threads: the lock of the block's arena is held. Marks and the states of
 * neighbours change without it, so the result is of about now.
 */
#ifndef PTM_PINS_H
#define PTM_PINS_H

#include "base.h"

/* Bytes pinned by a live block of a heap. */
double pins_of(const void *mem);

#endif
