/*
 * line - how far apart two processors are: what a cache line needs from one to
 * the other, in nanoseconds.
 *
 *   line
 *
 * prints the time of one way for the first two CPUs that it may use, the median
 * of 9 tries; a busy machine makes it longer. Blocks that one thread allocates
 * and another frees move at this speed under each allocator. On a virtual
 * machine it changes from one minute to the next, as the host moves its CPUs:
 * figures of such loads can be compared only where this one is the same.
 */
#define _GNU_SOURCE
#include "../workloads/bench.h"
#include "../workloads/team.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TRIES = 9, ROUNDS = 10000 };

struct line {
    _Alignas(128) uint64_t turn;
    double nanoseconds[TRIES];
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Each waits for a turn of its own parity, and gives the other the next. */
static void pass_to_and_fro(uint64_t *turn, uint64_t first)
{
    for (uint64_t mine = first; mine < first + 2 * ROUNDS; mine += 2) {
        while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) != mine) {
        }
        __atomic_store_n(turn, mine + 1, __ATOMIC_RELEASE);
    }
}

static void member_work(struct member *member)
{
    struct line *line = member->team->context;
    for (int i = 0; i < TRIES; i++) {
        double start = now();
        uint64_t first = (uint64_t)i * 2 * ROUNDS + member->number;
        pass_to_and_fro(&line->turn, first);
        if (member->number == 0) {
            line->nanoseconds[i] = (now() - start) / (2 * ROUNDS);
        }
    }
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static bool has_two_cpus(void)
{
    cpu_set_t usable;
    return sched_getaffinity(0, sizeof usable, &usable) == 0 &&
           CPU_COUNT(&usable) >= 2;
}

int main(void)
{
    struct line line = {0};
    struct team team;
    if (!has_two_cpus()) {
        bench_fail("there is one CPU only");
    }
    team_start(&team, 2, member_work, &line);
    team_stop_after(&team, 0);
    qsort(line.nanoseconds, TRIES, sizeof line.nanoseconds[0], compare);
    printf("%.1f\n", line.nanoseconds[TRIES / 2]);
    return 0;
}
