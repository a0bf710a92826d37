/*
 * tcache_limits.h - which sizes are cached: the bounds that every malloc and
 * every free compare with.
 *
 * Options that need to see every call (hooks, perturb) set them to zero: no
 * size is cached then.
 *
 * Threads: any. Each bound is right by itself, whenever it changes, and is read
 * and written relaxed; what has to change together is one bound.
 */
#ifndef PTM_TCACHE_LIMITS_H
#define PTM_TCACHE_LIMITS_H

#include "base.h"
#include "run.h"
#include "size.h"

/* Bounds of what is cached; all zero when nothing is. Written by
 * tcache_set_limits, read relaxed. Those up to TCACHE_GATE are what malloc asks
 * before all else, and zero while a gate keeps it, not free, away from caches,
 * so that every call is seen: slow paths look at cached_small and
 * cached_request instead. A reader outside of the process closes the gate by
 * writing zeros there. */
extern struct tcache_limits {
    size_t small;   /* requests below this are served by `serving` */
    size_t resized; /* requests above 0, less one, that may stay */
    /* Both bounds at once, here and below, so that nobody takes what is small
     * for large while they change. */
    size_t large_span; /* requests, counted from RUN_OBJECT_MAX + 1 */
    /* In hardened mode, in which nothing is cached: requests of one byte to
     * this many are served by a thread's stock ... */
    size_t stocked;
    uint32_t run_class;   /* objects of runs of classes below this are cached */
    uint32_t small_low;   /* low halves of size words below this are small */
    uint32_t low;         /* ... and below this are cached at all */
    uint32_t remote_span; /* small ones, counted from that of the least chunk */
    uint32_t large_low_span; /* low halves, counted from TCACHE_LARGE_LOW */
    uint32_t quarantined;    /* ... and what is freed goes to its quarantine */
    size_t cached_small;
    size_t cached_request;
} tcache_limits;

enum {
    TCACHE_GATE = offsetof(struct tcache_limits, run_class),
};

/* The low half of the size word of the least chunk that is not small. */
#define TCACHE_LARGE_LOW ((uint32_t)(SMALL_CLASS_MAX + MALLOC_ALIGNMENT))

/* Those of run_shapes, by the heap's byte for a page; but the bound, which is
 * read relaxed, is 0 where a class is not cached, or its page is WATCHED. */
extern struct run_shape tcache_shapes[256];

static inline size_t tcache_limit(const size_t *limit)
{
    return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

static inline uint32_t tcache_low_limit(const uint32_t *limit)
{
    return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

/* Sets the limits from the options, which have changed. */
void tcache_set_limits(void);

/* Every call is to be seen from now on, or not: nothing is cached. */
void tcache_bypass(bool bypass);

/* The same for malloc and its kind, but for free; and what comes behind the
 * gate is served from caches as before. */
void tcache_close_gate(bool is_closed);

#endif
