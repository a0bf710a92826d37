/*
 * sent.h - blocks on their way home: freed by a thread of another arena, and
 * waiting in the inbox of their own until somebody takes its lock.
 */
#ifndef PTM_TESTS_SENT_H
#define PTM_TESTS_SENT_H

#include <pthread.h>

#include "contention.h"
#include "crime.h"

static inline void *free_both(void *blocks)
{
    void **both = blocks;
    if (!attach_to_another_arena(PATIENCE_OF_TESTS)) {
        _exit(1);
    }
    free(both[0]);
    free(both[1]);
    return NULL;
}

/* Ends with a chain in the inbox that leads from `last` to `first`. The
 * calling thread keeps its arena, so that nobody else looks into the inbox. */
static inline void free_from_another_arena(void *first, void *last)
{
    void *both[2] = {first, last};
    pthread_t thread;
    have_had_a_second_thread();
    if (pthread_create(&thread, NULL, free_both, both) != 0 ||
        pthread_join(thread, NULL) != 0) {
        _exit(1);
    }
}

#endif
