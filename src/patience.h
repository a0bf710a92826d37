/*
 * patience.h - not asking the kernel again right after it has said no.
 *
 * What serves frees and can do without memory, if slower, would ask for it at
 * each free while there is none: a system call that is refused costs ten times
 * what the free does. So after a refusal so many askers do without.
 *
 * Threads: any, without a lock. It is a hint: nothing else depends on it, so
 * relaxed order is enough. Each asker who does without takes one off by a swap;
 * where that fails, another has taken one, or was refused anew, and this one
 * just does without as well. So `left` never wraps, and as it is only raised by
 * a refusal, it gets to 0, and somebody asks again: there are at most as many
 * refusals as threads asked at once for each REFUSAL_PATIENCE askers.
 */
#ifndef PTM_PATIENCE_H
#define PTM_PATIENCE_H

#include "base.h"

struct patience {
    uint32_t left; /* askers who do without yet */
};

/* Whether this one is to do without. */
static inline bool patience_is_asked(struct patience *patience)
{
    uint32_t left = __atomic_load_n(&patience->left, __ATOMIC_RELAXED);
    if (left > 0) {
        __atomic_compare_exchange_n(&patience->left, &left, left - 1, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
    return left > 0;
}

/* The kernel has said no. */
static inline void patience_begin(struct patience *patience)
{
    __atomic_store_n(&patience->left, REFUSAL_PATIENCE, __ATOMIC_RELAXED);
}

#endif
