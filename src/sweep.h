/*
 * sweep.h - how the pages of an arena's free memory go back to the kernel.
 *
 * A sweep goes through the heaps of an arena, newest first, and in each from
 * the lowest large free chunk to top. The map of pages (pages.h) knows where
 * those begin and which of their pages are dirty; so what has gone back already
 * is not looked at again, and neither is any other chunk. It is made in steps,
 * each with the lock held and bounded in bytes, calls, and chunks looked at;
 * between two steps anything may happen to the arena: where the sweep has got
 * to is a place, not a chunk. In the pages of runs it returns the quarters that
 * have no object in use, if objects were given back there lately. A heap that
 * is one free chunk, all clean, is returned whole, unless it is the one that
 * top is in.
 *
 * There are three kinds, each with a cursor of its own:
 *
 *     SWEEP_OLD     what was freed before the sweep before this one. Who calls
 *                   for it does so every half of the decay: so memory goes back
 *                   when it was not used for a half to a whole of that.
 *     SWEEP_EXCESS  everything, when there is too much of it: an arena may keep
 *                   dirty `trim_threshold` bytes, and a quarter of what is
 *                   live. It is paid for by the thread that frees.
 *     SWEEP_ALL     everything, as malloc_trim asks for it.
 *
 * How much is dirty is estimated: by as much as live bytes have fallen since
 * they were highest, after the last SWEEP_EXCESS. So a program that falls idle
 * after its peak keeps little, even if it never calls malloc again. But one
 * whose demand swings would give back, and have faulted in, the same pages
 * each time. So where there is a helper, who comes by later, nothing is done in
 * the first EXCESS_MILLISECONDS; unless there is very much. And if live bytes
 * rise again within RETURN_TOO_SOON of such a sweep, or before it is done,
 * which ends it, what it gave back is allowed from then on, and is halved now
 * and then: in time, the hysteresis is SWEEP_OLD's.
 *
 * Threads: all functions want the arena's lock held, but for sweep_is_wanted.
 */
#ifndef PTM_SWEEP_H
#define PTM_SWEEP_H

#include "arena.h"
#include "base.h"
#include "options.h"

/* What is left of what one step may do, and what it has done. */
struct sweep_room {
    size_t bytes;
    size_t calls;
    size_t chunks;
    size_t returned; /* bytes */
    size_t refused;  /* calls */
};

/* Makes one step of a sweep, and begins it if none is under way. True when
 * there is more to do. A page that the kernel refuses to take back is left for
 * a later sweep. */
bool sweep_step(struct arena *arena, enum sweep_kind kind,
                struct sweep_room *room);

/* Makes one step of a SWEEP_ALL, before which all empty spans are freed, and
 * all of top but `pad` bytes is returned to the reserved state. */
bool sweep_all_step(struct arena *arena, size_t pad, struct sweep_room *room);

void sweep_excess_step(struct arena *arena);

/* Makes a step of a SWEEP_EXCESS if too much is dirty for a while: called where
 * an arena was given memory, before its lock is released. */
static inline void sweep_excess(struct arena *arena)
{
    arena_note_live(arena);
    size_t fallen = arena->sweeps.live_high - arena_live_bytes(arena);
    if (unlikely(fallen >= option_get(OPTION_TRIM_THRESHOLD) ||
                 arena->sweeps.of[SWEEP_EXCESS].is_under_way)) {
        sweep_excess_step(arena);
    }
}

/* Whether a SWEEP_OLD would find anything, now or later; a hint to who has no
 * lock. */
bool sweep_is_wanted(const struct arena *arena);

#endif
