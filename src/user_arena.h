/*
 * user_arena.h - arenas that a program makes for itself: see ptm_arena_create
 * in <ptm.h>.
 *
 * Such an arena is one like any other, of chunks and heaps, with a lock; but no
 * thread is attached to it, no cache and no outbox holds its blocks, and it has
 * no direct mappings. So all that it ever gave is in its heaps, and destroying
 * it is unmapping these, however many blocks there were.
 *
 * The memory of the arena itself stays, for the next that is made. So what the
 * program has is a handle that says in which of the arena's lives it was given
 * out: to use it in a later one is told, up to HANDLE_LIVES of them.
 *
 * Threads: the lock of the arena guards everything. To destroy it while another
 * thread uses it is the program's error, as it is with a block.
 */
#ifndef PTM_USER_ARENA_H
#define PTM_USER_ARENA_H

#include "ptm.h"

#endif
