/*
 * contention.h - how many arenas there are after two threads have met at the
 * lock of the first one.
 */
#ifndef CONTENTION_H
#define CONTENTION_H

#include <pthread.h>

#include "arena_count.h"
#include "other_arena.h"

/* Milliseconds; where there may be one arena only, all of them pass, several
 * times. */
enum { PATIENCE_WITH_ONE_ARENA = 50 };

static inline void *allocate_once(void *unused)
{
    free(malloc(1));
    return unused;
}

/* The allocator notes a process's second thread with a system call that it
 * makes without a lock. After this that call has been made, and a thread that
 * is held in one is held with its arena locked. */
static inline void have_had_a_second_thread(void)
{
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, allocate_once, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
}

static inline int arenas_after_contention(unsigned patience)
{
    have_had_a_second_thread();
    attach_to_another_arena(patience);
    return arena_count();
}

#endif
