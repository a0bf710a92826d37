/*
 * actor.c - see actor.h.
 */
#define _GNU_SOURCE
#include "actor.h"

#include "trial.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
        MUST(errno == EINTR);
    }
}

static void *act(void *argument)
{
    struct actor *actor = argument;
    actor->id = gettid();
    sem_post(&actor->done);
    for (;;) {
        await(&actor->begin);
        if (actor->part == NULL) {
            return NULL;
        }
        atomic_store(&actor->is_acting, true);
        actor->part(actor->argument);
        atomic_store(&actor->is_acting, false);
        sem_post(&actor->done);
    }
}

void actor_start(struct actor *actor)
{
    atomic_store(&actor->is_acting, false);
    MUST(sem_init(&actor->begin, 0, 0) == 0);
    MUST(sem_init(&actor->done, 0, 0) == 0);
    MUST(pthread_create(&actor->thread, NULL, act, actor) == 0);
    await(&actor->done);
}

void actor_begin(struct actor *actor, actor_part *part, void *argument)
{
    actor->part = part;
    actor->argument = argument;
    sem_post(&actor->begin);
}

void actor_finish(struct actor *actor)
{
    await(&actor->done);
}

void actor_do(struct actor *actor, actor_part *part, void *argument)
{
    actor_begin(actor, part, argument);
    actor_finish(actor);
}

/* The state is the letter behind the name, which ends with the last ')'. */
static char state_of(const struct actor *actor)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)actor->id);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    MUST(file >= 0);
    ssize_t length = read(file, text, sizeof text - 1);
    MUST(length > 0);
    close(file);
    text[length] = '\0';
    return strrchr(text, ')')[2];
}

void actor_await_sleep(const struct actor *actor)
{
    while (!atomic_load(&actor->is_acting) || state_of(actor) != 'S') {
        sched_yield();
    }
}

void actor_end(struct actor *actor)
{
    actor_begin(actor, NULL, NULL);
    MUST(pthread_join(actor->thread, NULL) == 0);
    sem_destroy(&actor->begin);
    sem_destroy(&actor->done);
}
