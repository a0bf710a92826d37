/*
 * actor.h - a thread that does what the test says, when the test says it.
 *
 * With a few actors a test writes down which thread does what after what, and
 * so has its contention without luck.
 */
#ifndef ACTOR_H
#define ACTOR_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

typedef void actor_part(void *argument);

struct actor {
    pthread_t thread;
    sem_t begin;
    sem_t done;
    actor_part *part; /* NULL: the end */
    void *argument;
    atomic_bool is_acting;
    pid_t id; /* as the kernel names it */
};

void actor_start(struct actor *actor);

/* Begins a part that may have to wait for something; actor_finish waits for
 * its end. */
void actor_begin(struct actor *actor, actor_part *part, void *argument);
void actor_finish(struct actor *actor);

/* Both. */
void actor_do(struct actor *actor, actor_part *part, void *argument);

/* Returns when the actor sleeps in the kernel in the middle of its part. */
void actor_await_sleep(const struct actor *actor);

/* The thread ends, with all that the end of a thread brings. */
void actor_end(struct actor *actor);

#endif
