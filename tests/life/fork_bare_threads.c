/*
 * fork_bare_threads.c - a process made without libc's fork, so that no handler
 * of fork has run in it, makes threads before it has repaired anything: a lock
 * that one of these has is not taken for one that was lost in the fork.
 *
 * The parent has had a thread, so that forks are watched for, and maybe has the
 * helper; but the program has only one when it forks.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "trial.h"

enum {
    CHILDREN = 12,
    THREADS = 6,
    SLOTS = 16,
    BLOCKS = 1500,
    MAPPED = 300000,
};

static pthread_barrier_t all_begin;

/* Uses malloc, and so is one of the threads that ptm counts. */
static void *allocate_once(void *unused)
{
    void *block = malloc(100);

    MUST(block != NULL);
    free(block);
    return unused;
}

/* Objects, chunks and mappings, so that every kind of lock is contended. */
static void *allocate(void *seed)
{
    unsigned next = (unsigned)(uintptr_t)seed * 2654435761u;
    void *blocks[SLOTS] = {NULL};

    pthread_barrier_wait(&all_begin);
    for (int i = 0; i < BLOCKS; i++) {
        void **slot = &blocks[(next >> 20) % SLOTS];

        next = next * 1103515245 + 12345;
        free(*slot);
        *slot = malloc((next >> 8) % 4 == 0 ? MAPPED : (next >> 10) % 5000);
        MUST(*slot != NULL);
    }
    for (int i = 0; i < SLOTS; i++)
        free(blocks[i]);
    return NULL;
}

static void be_the_child(void)
{
    pthread_t threads[THREADS];

    trial_watch();
    MUST(pthread_barrier_init(&all_begin, NULL, THREADS) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, allocate, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    MUST(ptm_check() == 0);
    MUST(mallinfo2().hblks == 0);
    _exit(0);
}

int main(void)
{
    pthread_t thread;

    trial_watch();
    trial_malloc_must_be_ptm();
    MUST(pthread_create(&thread, NULL, allocate_once, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child;

        trial_watch();
        child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
        if (child == 0)
            be_the_child();
        trial_child_must_succeed(child);
    }
    return 0;
}
