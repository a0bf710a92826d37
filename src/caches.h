/*
 * caches.h - the thread caches of the process, all together: their memory, and
 * how much they may hold.
 *
 *   listed:  | cache | cache |       | cache | ...      one place each, in use
 *   spares:  | cache |       | ...                      of threads that ended
 *
 * Each cache is a mapping of its own with a wall on both sides. A few that
 * threads leave are kept for threads to come, until an expiry finds them a
 * second time. What all caches can hold is one sum, and bounded by a share of
 * what is live: each cache asks before it grows beyond what is always granted.
 *
 * Threads: any, without a lock. A place of `spares` is filled by who finds it
 * empty, with release order, and emptied by an exchange with acquire order: so
 * who takes a cache sees it as it was left, and nobody else has it. A place
 * that a fork catches in between is lost, not the order. The places of `listed`
 * are for readers outside of the process: nobody here follows these pointers.
 * The sums are hints, all relaxed.
 */
#ifndef PTM_CACHES_H
#define PTM_CACHES_H

#include "base.h"

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
