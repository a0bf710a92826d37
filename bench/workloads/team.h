/*
 * team.h - threads that start together and, in a THROUGHPUT workload, work
 * until the time is up.
 *
 *   struct team team;
 *   team_start(&team, threads, member, context);
 *   team_stop_after(&team, milliseconds);   (the measured part)
 *
 * Each stays on one CPU. A member is called with its own struct; it counts what
 * it did there and looks at team_is_over() now and then. Each struct has cache
 * lines of its own, so that counting costs nothing elsewhere.
 */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct team;

struct member {
    _Alignas(128) uint64_t operations; /* done so far; the member's own */
    unsigned number;                   /* 0 .. threads - 1 */
    struct team *team;
    pthread_t thread;
};

struct team {
    _Alignas(128) unsigned over; /* relaxed: a flag and nothing behind it */
    _Alignas(128) pthread_barrier_t start;
    void (*work)(struct member *member);
    void *context; /* the workload's */
    unsigned threads;
    struct member *members;
};

/* The threads exist and wait when this returns. */
void team_start(struct team *team, unsigned threads,
                void (*work)(struct member *member), void *context);

/* Lets them go, for that long, and joins them; the measured part of a
 * workload, whose operations are the sum of the members'. */
void team_stop_after(struct team *team, uint64_t milliseconds);

static inline bool team_is_over(const struct team *team)
{
    return __atomic_load_n(&team->over, __ATOMIC_RELAXED) != 0;
}

void sleep_milliseconds(uint64_t milliseconds);

#endif
