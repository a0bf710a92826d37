/*
 * hammer.h - threads that allocate without pause, for the fork trials.
 *
 * Each thread keeps its blocks in a shelf that others can read. A pointer is
 * put on the shelf after its block was filled and is taken off before the
 * block is freed, so whatever a child of fork finds on a shelf is a whole
 * block that belongs to nobody in the child.
 */
#ifndef HAMMER_H
#define HAMMER_H

#include <stdbool.h>

/* Starts `threads` (at most 16) of them; returns when all are at work. */
void hammer_start(int threads);

/* Stops them, joins them and frees what is left on the shelves. */
void hammer_stop(void);

/*
 * For a child of fork: checks the contents of every block on the shelves and
 * frees it. Returns how many there were.
 */
int hammer_free_shelves(void);

/* Allocates, fills, checks and frees `blocks` blocks in the calling thread. */
void hammer_some(int blocks);

/* The same in `threads` (at most 16) new threads, which are joined. */
void hammer_some_in_threads(int threads, int blocks);

#endif
