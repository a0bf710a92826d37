/*
 * purge.h - memory goes back to the kernel by itself.
 *
 * A pass is a SWEEP_OLD of every arena, after what its depot did not need
 * since the last pass was freed, and then an end to the mappings and caches
 * that were kept for a while. Before it the caches of threads that sleep are
 * looked through (sleepers.h). One begins every half of `decay`, if there is
 * anything to do. It is made in steps, each with at most one arena's lock held
 * and bounded as sweep.h says, by one thread at a time:
 *
 *   - the helper (helper.h), in programs with threads; or
 *   - whoever makes slow calls, and looks at the clock now and then.
 *
 * Locks: LOCK_RANK_PURGE is held during a step. Nobody waits for it but who
 * wants everything back: malloc_trim, and who is near a limit of memory
 * (limit.h). Fork waits for a step to end, but not for long.
 */
#ifndef PTM_PURGE_H
#define PTM_PURGE_H

#include "base.h"

/* Returns all there is: what caches and depots hold, free chunks of all
 * arenas, of every top all but `pad` bytes, and what was freed and is still
 * mapped. True when the kernel got any. Takes one arena's lock at a time, for a
 * step each. */
bool purge_everything(size_t pad);

/* The kernel has refused memory for a request of `bytes`: the same, if anything
 * was freed since the last time, and so much is free. */
bool purge_for_memory(size_t bytes);

/* The process has grown, and limit_is_due: the same, if there is no more room
 * to grow. The caller holds no lock, and what has grown was not touched yet. */
void purge_for_growth(void);

/* Makes one step of a pass, and begins one if none is under way. False when the
 * pass is over, another thread makes a step just now, or one forks. */
bool purge_step(void);

/* Whether a pass would find anything, now or later. */
bool purge_is_wanted(void);

/* How long to wait between the beginnings of two passes, in milliseconds. */
uint64_t purge_interval(void);

/* Called by slow calls of programs without a helper: holds no lock. */
void purge_tick(void);

/* There is a helper, or there is none. */
void purge_leave_to_helper(bool has_helper);

/* No step is made while the process is forked, if that can be had soon. */
void purge_before_fork(void);
void purge_after_fork_in_parent(void);

/* In the child of a fork. */
void purge_after_fork(void);

#endif
