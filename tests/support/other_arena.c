/*
 * Contention made to order: see other_arena.h.
 */
#define _GNU_SOURCE
#include "other_arena.h"

#include "faulty_syscall.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    PROBE_SIZE = 100 * 1000,
    GROWTH_STEP = 128 * 1024,
    GROWTH_STEPS = 2000, /* 250 MiB: some step must ask the kernel */
    MOST_GROWERS = 12,
};

static atomic_uint growers_done;

/* Allocates until a system call of it was held, then gives all back. */
static void *grow_until_held(void *patience)
{
    void *blocks[GROWTH_STEPS];
    int count = 0;

    /* What a thread asks the kernel for at its first allocation is asked
       without a lock. */
    free(malloc(1));
    faulty_hold_next_call((unsigned)(uintptr_t)patience);
    while (count < GROWTH_STEPS && !faulty_hold_is_over()) {
        blocks[count] = malloc(GROWTH_STEP);
        count++;
    }
    atomic_fetch_add(&growers_done, 1);
    while (count > 0)
        free(blocks[--count]);
    return NULL;
}

/* Each grower is held, or could not be: it asked for nothing. */
static void await_growers(unsigned growers)
{
    const struct timespec nap = {.tv_nsec = 100000};

    while (faulty_threads_held() + atomic_load(&growers_done) < growers)
        nanosleep(&nap, NULL);
}

static bool probe_is(is_wanted_function *is_wanted)
{
    /* Aligned, so that the arena is asked and not the thread's cache. */
    void *probe = memalign(64, PROBE_SIZE);
    bool wanted = probe && is_wanted(probe);

    free(probe);
    return wanted;
}

/*
 * One grower after the other is stopped in the kernel with its arena locked. A
 * new one finds the arenas of the others locked, so at the latest when all
 * arenas are taken the caller has to leave the one it is in, for a new one.
 */
bool attach_to_arena_where(is_wanted_function *is_wanted, unsigned patience)
{
    pthread_t growers[MOST_GROWERS];
    unsigned count = 0;
    bool there = probe_is(is_wanted);

    atomic_store(&growers_done, 0);
    while (!there && count < MOST_GROWERS &&
           pthread_create(&growers[count], NULL, grow_until_held,
                          (void *)(uintptr_t)patience) == 0) {
        await_growers(++count);
        there = probe_is(is_wanted);
    }
    faulty_release();
    for (unsigned i = 0; i < count; i++)
        pthread_join(growers[i], NULL);
    return there && probe_is(is_wanted);
}

bool attach_to_another_arena(unsigned patience)
{
    return attach_to_arena_where(is_outside_main_arena, patience);
}

bool have_one_cpu(void)
{
    cpu_set_t mine, one;

    if (sched_getaffinity(0, sizeof mine, &mine) != 0)
        return false;
    if (CPU_COUNT(&mine) == 1)
        return true;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0)
        execl("/proc/self/exe", program_invocation_name, (char *)NULL);
    return false;
}
