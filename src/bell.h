/*
 * bell.h - how the helper is woken, by whoever makes work for it.
 *
 * The helper (helper.h) sleeps for as long as there is nothing to give back.
 * Memory is freed on every floor of the allocator, so its bell hangs down here.
 *
 * No wake-up is lost. Who frees memory writes that down first, and then looks
 * whether the helper is asleep. The helper says that it is asleep first, and
 * then looks whether there is anything; so one of them sees the other, if both
 * stores come before both loads. A full fence in every slow call would make
 * sure of that, and cost as much as the rest of it at times; so the helper pays
 * instead. After it has said that it is asleep it waits for half a decay, and
 * then looks again. A store that it does not see then is not half a second old,
 * so the load behind it comes after that, and finds what the helper stored long
 * before.
 */
#ifndef PTM_BELL_H
#define PTM_BELL_H

#include "base.h"

enum bell_state {
    BELL_AWAKE, /* or there is nobody to wake */
    BELL_ASLEEP,
};

extern uint32_t bell;

/* Whether there is a helper: what is left lying is given back in a while, even
 * if the program calls nothing any more. A hint. */
extern bool bell_helper;

static inline bool bell_has_helper(void)
{
    return __atomic_load_n(&bell_helper, __ATOMIC_RELAXED);
}

void bell_wake(void);

/* There is something to give back, now or in a while. Any thread, at any
 * time. */
static inline void bell_ring(void)
{
    if (unlikely(__atomic_load_n(&bell, __ATOMIC_RELAXED) == BELL_ASLEEP)) {
        bell_wake();
    }
}

#endif
