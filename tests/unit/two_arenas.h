/*
 * two_arenas.h - what tests of blocks that go from thread to thread share: an
 * actor whose arena is another, and one that keeps an arena locked.
 */
#ifndef TWO_ARENAS_H
#define TWO_ARENAS_H

#include "actor.h"
#include "alloc.h"
#include "arenas.h"
#include "owner.h"
#include "unit.h"

static void hold(void *arena)
{
    MUST(arena_acquire(arena));
}

static void release(void *arena)
{
    arena_release(arena);
}

/* This thread's cache is then of arena 1, the helper's of arena 2, and *mem is
 * the block that `allocate` got there. */
static void start_in_arena_2(struct actor *helper, actor_part *allocate,
                             void **mem)
{
    struct actor holder;
    alloc_free(alloc_malloc(100));
    actor_start(&holder);
    actor_start(helper);
    actor_do(&holder, hold, &main_arena);
    actor_do(helper, allocate, mem);
    actor_do(&holder, release, &main_arena);
    actor_end(&holder);
    MUST(owner_of(*mem) == 2);
}

#endif
