/*
 * caches.h - the thread caches of the process, all together: their memory, and
 * how much they may hold.
 *
 *   listed:  | cache | cache |       | cache | ...      one place each, in use
 *   spares:  | cache |       | ...                      of threads that ended
 *   visited: | cache |                                  at most one
 *
 * Each cache is a mapping of its own with a wall on both sides. A few that
 * threads leave are kept for threads to come, until an expiry finds them a
 * second time. What all caches can hold is one sum, and bounded by a share of
 * what is live: each cache asks before it grows beyond what is always granted.
 *
 * Threads: any, without a lock. A place of `spares` is filled by who finds it
 * empty, with release order, and emptied by an exchange with acquire order: so
 * who takes a cache sees it as it was left, and nobody else has it. A place
 * that a fork catches in between is lost, not the order. The sums are hints,
 * all relaxed.
 *
 * The places of `listed` are for readers outside of the process, and for the
 * helper, who visits caches of threads that sleep (sleepers.h). It says which
 * one it visits, and then looks whether that is still listed; a thread that
 * ends takes its cache off the list, and then looks whether it is visited. All
 * four are sequentially consistent: so either the helper sees that the cache is
 * not listed, or the thread sees that it is visited, and waits, and the memory
 * is there until the visit is over. Who waits does so for the lock that the
 * visitor holds.
 *
 * What a visitor takes out for a try is written down before, with what must not
 * have changed if it is to be put back: so the child of a fork, in which there
 * is no visitor, finishes that for him. A child sees a prefix of the visitor's
 * stores (lock.h).
 */
#ifndef PTM_CACHES_H
#define PTM_CACHES_H

#include "base.h"
#include "class.h"
#include "lock.h"

struct tcache;

enum {
    /* A cache's memory. Enough for every class at its largest, with what
     * doubling leaves behind; untouched pages cost nothing. */
    CACHE_MAP_SIZE = 320 << 10,
};

/* CACHE_MAP_SIZE bytes, which are zero; or NULL. */
struct tcache *caches_map(void);

/* Nobody uses this memory any more, of which so many bytes were. */
void caches_unmap(struct tcache *cache, size_t used);

/* Unmaps what is kept; true if there was any. Or only what was there already at
 * the last call; one caller at a time. */
bool caches_drop_spares(void);
void caches_expire_spares(void);
bool caches_have_spares(void);

/* The cache is in use, or no more. A thread that finds no place is not listed.
 * In the child of a fork those of the threads that are gone stay, as their
 * memory does. */
void caches_list(struct tcache *cache);
void caches_unlist(const struct tcache *cache);

/* Something that a visitor has taken out of a slot; it belongs there again, as
 * long as the base of the array is not `place`, and the slot is empty. */
struct taken_out {
    void **slot;
    void *mem;
    void *bottom; /* what an empty slot holds: tcache_bottom_of */
    const uint16_t *base;
    uint16_t place;
};

/* The visit: `cache` is read by all threads, the rest is the visitor's. */
extern struct caches_visited {
    struct lock lock;
    struct tcache *cache;
    size_t count;
    struct taken_out taken[CLASS_COUNT];
} caches_visited;

/* The cache at this place of the list, which stays mapped until caches_leave;
 * NULL: there is none, and no visit. One visit at a time. */
struct tcache *caches_visit(size_t place);
void caches_leave(void);

/* Returns when nobody visits this cache; the caller may hold other locks. */
void caches_await_visitor(const struct tcache *cache);

static inline bool caches_is_visited(const struct tcache *cache)
{
    return __atomic_load_n(&caches_visited.cache, __ATOMIC_ACQUIRE) == cache;
}

/* In the child of a fork: ends a visit of a thread that is lost. */
void caches_after_fork_in_visit(void);

/* What the slots of all caches can hold, in bytes: as a rule, twice what they
 * do. */
size_t caches_bytes(void);

/* So much more, and so much less. */
void caches_count(size_t more, size_t less);

/* Whether the sum may become larger by this. */
bool caches_may_grow(size_t more);

/* What the program has live by now: that says how much caches may hold. */
void caches_note_live(size_t live);

/* In the child of a fork: the caches of other threads are lost, and this
 * thread's can hold so much. */
void caches_after_fork(size_t bytes);

/* The places: they are described to readers. */
extern struct tcache *caches_spare[CACHE_SPARES];
extern PTM_SPARSE struct tcache *caches_listed[CACHES_LISTED];

#endif
