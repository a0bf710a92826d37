/*
 * arenas.h - the set of arenas: which one serves this thread.
 *
 * The main arena is there from the start. A thread that comes gets one that no
 * other has, a new one if need be, until there is one more than CPUs that the
 * process may use, if these are several; then it joins where the fewest threads
 * are. Another is made when a thread finds its own arena and all the others
 * locked at the same moment; never more than ARENAS_PER_CPU for each CPU, nor
 * than M_ARENA_MAX says. A thread remembers the arena that served it last. One
 * that meets contention from other threads of its arena moves to another, but
 * one that is alone there lets who has the lock finish; one that exits leaves
 * its arena, which, when it was the last one there, goes on a free list from
 * which the next new thread takes the newest.
 *
 * Private arenas are made for the program. They are in the table, so that
 * blocks find their way back and every walk meets them, but serve no thread by
 * themselves.
 *
 *     thread --TLS--> arena <--number--  table of arenas  --> arena ...
 *                       ^--- next_free --- free list
 *
 * Locks: the set has one, ranked after those of the arenas. It guards the
 * growth of the table, the free list and `attached`. The table is read
 * without it: an entry is written whole before the count that covers it is
 * stored with release order, and is never changed again.
 */
#ifndef PTM_ARENAS_H
#define PTM_ARENAS_H

#include "arena.h"
#include "base.h"

extern struct arena main_arena;

/* How many arenas there are; they are numbered from 1. */
unsigned arenas_count(void);

/* By number; entry 0 is unused. */
extern struct arena *arena_table[ARENAS_MAX + 1];

static inline struct arena *arena_numbered(unsigned number)
{
    return __atomic_load_n(&arena_table[number], __ATOMIC_ACQUIRE);
}

/* The arena whose chunk this is: the main one, or the one that the heap's
 * header names. Not for direct mappings, nor for objects of runs. */
static inline struct arena *arena_for_chunk(const struct chunk *chunk)
{
    return chunk_non_main_arena(chunk) ? heap_for_ptr(chunk)->arena
                                       : &main_arena;
}

/* The arena that this thread remembers, locked without waiting for long; NULL
 * when it has none or when that is contended. */
struct arena *arena_get(void);

/* The arenas that one request has found exhausted: a bit for each number. */
struct arena_tries {
    uint64_t tried[(ARENAS_MAX + 1 + 63) / 64];
    bool made_new;
};

/* An arena for this thread, locked, and remembered from now on: a free one,
 * one that nobody holds, a new one, or, after waiting, one that others use as
 * well; none that was tried (NULL: all are good), and at most one new one.
 * NULL when there is none. */
struct arena *arena_get2(struct arena_tries *tries);

/* The arena to try after `failed`, which is locked and is released here, had
 * nothing left: the main arena after any other, then what arena_get2 finds.
 * Locked; NULL after the last. */
struct arena *arena_get_retry(struct arena *failed, struct arena_tries *tries);

/* Locks an arena, whoever's it is; false when it is abandoned. */
bool arena_acquire(struct arena *arena);
void arena_release(struct arena *arena);

/* The arena in whose 64 MiB an address lies, which may be anything, or NULL.
 * Its lock is held until arenas_let_go: so no heap there comes or goes
 * meanwhile. (An abandoned one has no lock, and its heaps stay.) */
struct arena *arenas_hold(const void *mem);
void arenas_let_go(struct arena *arena);

/* Whether a block of the heap can begin there. */
bool arenas_has(const struct arena *held, const void *mem);

/* An arena that serves no thread unless it is asked for by name, with at most
 * `limit` bytes, 0: any number; NULL when there is no memory for it, or are too
 * many. Those that were retired, empty, are used again. */
struct arena *arenas_make_private(size_t limit);
void arenas_retire_private(struct arena *arena);

/* True until the thread has been given its first arena. */
bool arenas_thread_is_new(void);

/* Counts this thread among those that ever allocated, and returns how many
 * that are now. */
unsigned arenas_note_thread(void);

/* The arena that this thread is attached to, or NULL. */
struct arena *arenas_attached(void);

/* Asks how many CPUs the process may use, if nobody has asked: the kernel tells
 * by files, and the program may be about to enter a sandbox. */
void arenas_count_cpus(void);

/* False in a child that has lost every arena to forks. */
bool arenas_any_left(void);

/* Whether any thread is attached to the arena; a hint. */
bool arenas_has_threads(const struct arena *arena);

/* Leaves the thread's arena to others. What the thread allocates after this
 * comes from any arena and attaches it to none. */
void arenas_detach_thread(void);

/* In the child of a fork: abandons the arenas whose lock is held by a thread
 * that is not there any more, and frees the others of their threads. Does
 * nothing the second time. */
void arenas_after_fork(void);

#endif
