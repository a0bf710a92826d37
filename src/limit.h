/*
 * limit.h - how much more memory the process may have.
 *
 * The option `memory_limit` bounds what the process holds itself, a cgroup's
 * memory.high and memory.max (v1: memory.limit_in_bytes) what all its processes
 * do. Both are soft to us: what is over is not refused, but first all goes back
 * that is free.
 *
 * To ask the kernel how much room there is means to read a dozen files, so it
 * is asked seldom. Each answer is an allowance: so many bytes may be got from
 * the kernel until it is asked again. Whoever gets memory counts it here, and
 * his slow call looks, at its end, whether the allowance is used up. The memory
 * is not touched by then: so all is given back before the process grows.
 *
 *     no limit        all that it will ever need; or LIMIT_LOOK, if there was
 *                     one before: a process that has no descriptor left can
 *                     read none
 *     room            half of it, LIMIT_LOOK at most
 *     no room         a LIMIT_STEP_SHARE of the limit: so often, and no more,
 *                     is everything given back
 *
 * So limits that change are noticed, at the latest, after LIMIT_LOOK bytes; and
 * in each pass of a purge for as long as there is little room. The first
 * LIMIT_FIRST bytes are free: a small program reads no files. And who has no
 * limit by then reads none ever after: programs enter sandboxes that kill who
 * opens a file, once they have started. Who is about to enter one looks ahead,
 * if nobody has looked. (There, one with a limit must be allowed to open
 * files.) A cgroup that gets its first limit later is looked at when the
 * program sets an option, be it to what it was: it knows of sandboxes. The
 * first look also notes what else a file tells and is needed later, whether
 * huge pages are given by advice: see huge.h.
 *
 * Threads: any, at any time. The numbers are hints, each for itself: relaxed.
 */
#ifndef PTM_LIMIT_H
#define PTM_LIMIT_H

#include "base.h"
#include "config.h"

extern struct memory_limit {
    ptrdiff_t allowance;
    size_t newest; /* bytes that were got last, and may be untouched still */
    bool is_tight; /* there was little room when it was last looked at */
    bool was_seen; /* there was a limit once */
    bool was_asked;
} memory_limit;

/* So many bytes were got from the kernel. */
static inline void limit_note_growth(size_t bytes)
{
    __atomic_store_n(&memory_limit.newest, bytes, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&memory_limit.allowance, (ptrdiff_t)bytes,
                       __ATOMIC_RELAXED);
}

/* Whether it is time to look. */
static inline bool limit_is_due(void)
{
    return unlikely(__atomic_load_n(&memory_limit.allowance, __ATOMIC_RELAXED) <
                    0);
}

static inline bool limit_is_tight(void)
{
    return __atomic_load_n(&memory_limit.is_tight, __ATOMIC_RELAXED);
}

/* Asks the kernel, and sets the allowance. False when there is so little room,
 * besides for what was got last, that all should be given back that can. */
bool limit_look(void);

/* A sandbox is about to be entered: the first look, or one that is due, is done
 * with. */
void limit_look_ahead(void);

/* The option has changed: it is time to look. */
void limit_reset(void);

#endif
