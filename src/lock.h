/*
 * lock.h - the one kind of lock, its ranks, and what fork does to it.
 *
 * A lock is a futex word: FREE, HELD, CONTENDED (held, and someone may sleep),
 * or DEAD. Taking it is one compare-and-swap with acquire order, giving it
 * back one exchange with release order; so everything written under the lock
 * is seen by its next holder.
 *
 * Ranks. A thread that holds a lock takes only locks of higher rank:
 *
 *     START    process start (life.c)
 *     PURGE    a step of a purge
 *     ARENA    one arena; never two at a time
 *     ARENAS   the set of arenas: creation, free list, who is attached
 *     MAPPED   the table of direct mappings
 *     PROFILE  what a profile has written down
 *     VISIT    who looks into another thread's cache (caches.h)
 *
 * Fork. The child has one thread; locks that other threads held at that
 * moment stay held in it for ever. ptm takes no locks before fork: that
 * deadlocks with threads that hold libio's locks while they allocate, and
 * with a signal handler that forks inside malloc. Instead a lock remembers
 * in which generation of forks it was known to be good, and lock_acquire
 * refuses to *wait* for one from another generation, in a process that has no
 * thread but the one that would wait. (Where there are others, which were made
 * before anything was repaired, it waits a while, as one of them may be the
 * holder.) Its owner then repairs what the lock guards, or declares the lock
 * DEAD for good, with the word `owner` telling whether the holder lives: the
 * one thread that survives is the one that forked.
 *
 * What a child sees is, for each thread of the parent, a prefix of its writes
 * (fork write-protects every page before the child runs, and a thread that
 * then writes waits for the end of the fork). So if the child sees a lock
 * FREE, it sees everything the last holder did under it.
 */
#ifndef PTM_LOCK_H
#define PTM_LOCK_H

#include "base.h"
#include "fatal.h"

enum lock_rank {
    LOCK_RANK_START = 0,
    LOCK_RANK_PURGE = 1,
    LOCK_RANK_ARENA = 2,
    LOCK_RANK_ARENAS = 3,
    LOCK_RANK_MAPPED = 4,
    LOCK_RANK_PROFILE = 5,
    LOCK_RANK_VISIT = 6,
};

enum lock_state {
    LOCK_FREE = 0,
    LOCK_HELD = 1,
    LOCK_CONTENDED = 2,
    LOCK_DEAD = 3,
};

struct lock {
    uint32_t state;
    uint16_t rank;
    uint16_t generation; /* of forks, when this lock was known to be good */
    const void *owner;   /* lock_self() of the holder; NULL when free */
};

#define LOCK_INITIAL(lock_rank)                                                \
    {                                                                          \
        .state = LOCK_FREE, .rank = (lock_rank)                                \
    }

/* Bit n is set while this thread holds a lock of rank n (checked builds). Its
 * address is the thread's identity. */
extern PTM_TLS unsigned lock_ranks_held;

static inline const void *lock_self(void)
{
    return &lock_ranks_held;
}

bool lock_acquire_slow(struct lock *lock);
void lock_release_slow(struct lock *lock, uint32_t state);

static inline void lock_note_taken(struct lock *lock)
{
    __atomic_store_n(&lock->owner, lock_self(), __ATOMIC_RELAXED);
    if (PTM_CHECKED) {
        ptm_assert(lock_ranks_held < 1u << lock->rank);
        lock_ranks_held |= 1u << lock->rank;
    }
}

static inline bool lock_try(struct lock *lock)
{
    uint32_t expected = LOCK_FREE;
    if (!__atomic_compare_exchange_n(&lock->state, &expected, LOCK_HELD, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return false;
    }
    lock_note_taken(lock);
    return true;
}

/* As lock_try, but lets a short critical section of another thread pass. */
bool lock_try_patiently(struct lock *lock);

/* Waits for the lock. False when the lock is DEAD, or when it would have to
 * wait for one that was last known to be good before a fork; the caller then
 * repairs, and tries again. */
static inline bool lock_acquire(struct lock *lock)
{
    return likely(lock_try(lock)) || lock_acquire_slow(lock);
}

static inline bool lock_is_mine(const struct lock *lock)
{
    return __atomic_load_n(&lock->owner, __ATOMIC_RELAXED) == lock_self();
}

static inline void lock_release(struct lock *lock)
{
    ptm_assert(lock_is_mine(lock));
    if (PTM_CHECKED) {
        lock_ranks_held &= ~(1u << lock->rank);
    }
    __atomic_store_n(&lock->owner, NULL, __ATOMIC_RELAXED);
    uint32_t state =
        __atomic_exchange_n(&lock->state, LOCK_FREE, __ATOMIC_RELEASE);
    if (unlikely(state != LOCK_HELD)) {
        lock_release_slow(lock, state);
    }
}

/* True while a thread that this process has lost to fork holds the lock:
 * meaningful only between a fork and the first new thread. */
static inline bool lock_is_orphaned(const struct lock *lock)
{
    return __atomic_load_n(&lock->state, __ATOMIC_RELAXED) != LOCK_FREE &&
           !lock_is_mine(lock);
}

/* A new lock, free. */
void lock_initialise(struct lock *lock, enum lock_rank rank);

/* The lock is good in this process: as it is, or by force FREE again. */
void lock_confirm(struct lock *lock);
bool lock_is_confirmed(const struct lock *lock);
void lock_reset(struct lock *lock);

/* Nobody takes the lock any more; whoever waits for it gives up. This also
 * holds for a wait of this very thread that a signal handler, which forked,
 * has interrupted. */
void lock_kill(struct lock *lock);

/* From now on forks are noticed even where no handler of ours runs before
 * the child's first wait: in handlers of other libraries that come earlier.
 * Called when a process gets its second thread. */
void lock_watch_forks(void);

/* This process is the child of a fork: begins a new generation, unless somebody
 * has noticed it before. */
void lock_note_fork(void);

/* How many forks there were on the way to this process, as far as was noticed:
 * what was written down before one of them is told by it. */
uint16_t lock_generation(void);

#endif
