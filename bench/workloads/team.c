#define _GNU_SOURCE
#include "team.h"

#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

void sleep_milliseconds(uint64_t milliseconds)
{
    struct timespec left = {
        .tv_sec = (time_t)(milliseconds / 1000),
        .tv_nsec = (long)(milliseconds % 1000) * 1000000,
    };
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* Round the usable CPUs. The kernel would often leave threads that were woken
 * together on one CPU for longer than the measurement lasts, and two threads
 * that take turns share nothing at the same time. */
static void pin_to_a_cpu(unsigned number)
{
    cpu_set_t usable, one;
    if (sched_getaffinity(0, sizeof usable, &usable) != 0) {
        return;
    }
    unsigned skip = number % (unsigned)CPU_COUNT(&usable);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &usable) && skip-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

static void *member_main(void *argument)
{
    struct member *member = argument;
    pin_to_a_cpu(member->number);
    pthread_barrier_wait(&member->team->start);
    member->team->work(member);
    return NULL;
}

void team_start(struct team *team, unsigned threads,
                void (*work)(struct member *member), void *context)
{
    team->over = 0;
    team->work = work;
    team->context = context;
    team->threads = threads;
    team->members = bench_table(threads * sizeof team->members[0]);
    pthread_barrier_init(&team->start, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        struct member *member = &team->members[i];
        member->number = i;
        member->team = team;
        if (pthread_create(&member->thread, NULL, member_main, member) != 0) {
            bench_fail("no thread");
        }
    }
}

void team_stop_after(struct team *team, uint64_t milliseconds)
{
    bench_begin();
    pthread_barrier_wait(&team->start);
    sleep_milliseconds(milliseconds);
    __atomic_store_n(&team->over, 1, __ATOMIC_RELAXED);
    uint64_t operations = 0;
    for (unsigned i = 0; i < team->threads; i++) {
        pthread_join(team->members[i].thread, NULL);
        operations += team->members[i].operations;
    }
    bench_end(operations);
}
