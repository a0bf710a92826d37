/*
 * draw.h - random numbers for choices that nobody should foresee: which block
 * leaves quarantine, which of several is handed out, when one is guarded.
 *
 * Each thread draws from a state of its own (xorshift64*), which comes from the
 * kernel. In a child of fork it is drawn anew, so that children of one parent
 * do not choose alike. They are no keys: who learns the state of a thread can
 * foresee what it will choose.
 *
 * Thread-safe; no lock. No function changes errno.
 */
#ifndef PTM_DRAW_H
#define PTM_DRAW_H

#include "base.h"

/* 0: to be drawn. */
extern PTM_TLS uint64_t draw_state;

uint64_t draw_first_state(void);

static inline uint64_t draw_word(void)
{
    uint64_t state = draw_state;
    if (unlikely(state == 0)) {
        state = draw_first_state();
    }
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    draw_state = state;
    return state * 0x2545f4914f6cdd1du;
}

/* Below `bound`, which is not 0. */
static inline uint32_t draw_below(uint32_t bound)
{
    uint32_t number = (uint32_t)(draw_word() >> 32);
    return (uint32_t)((uint64_t)number * bound >> 32);
}

/* In the child of a fork, which has one thread. */
void draw_after_fork(void);

#endif
