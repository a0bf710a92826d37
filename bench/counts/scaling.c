/*
 * scaling - what each further thread adds.
 *
 *   scaling LOAD THREADS MILLISECONDS
 *
 * prints `operations_per_second N`. Each thread does the same and stays on one
 * CPU, so a perfect allocator is as much faster as there are CPUs.
 *
 *   pairs      each thread replaces random blocks of its own, 16..1000 bytes:
 *              nothing is shared but the allocator
 *   server     the same with 1,000 blocks for each thread, but after 20,000
 *              replacements a new thread goes on with the set of the old one,
 *              as in Larson's benchmark
 *   pipeline   a circle: each thread allocates batches of 16..256 bytes for
 *              the next one and frees those of the one before it; with one
 *              thread, its own
 */
#define _GNU_SOURCE
#include "../workloads/bench.h"
#include "../workloads/random.h"
#include "../workloads/team.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

enum {
    PAIRS_SET = 100,
    SERVER_SET = 1000,
    ROUNDS_AT_ONCE = 500, /* between two looks at the time */
    LIFE = 20000,         /* replacements in the life of a server's thread */
    RING = 512,
    BATCH = 32,
    MOST_THREADS = 1024,
};

/* Both counts only grow; their difference is what is in the ring. */
struct ring {
    _Alignas(128) uint64_t written; /* by its thread, released */
    _Alignas(128) uint64_t read;    /* by the next thread, released */
    _Alignas(128) void *blocks[RING];
};

/* What the threads that take turns in one place hand on. */
struct lane {
    _Alignas(128) struct dice dice;
    struct member *member;
    void **blocks;
};

static void replace(struct dice *dice, void **blocks, size_t count,
                    size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        void **slot = &blocks[dice_below(dice, count)];
        free(*slot);
        *slot = block_new(dice_between(dice, 16, 1000), i);
    }
}

static void pairs_work(struct member *member)
{
    void *blocks[PAIRS_SET] = {NULL};
    struct dice dice = {member->number};
    while (!team_is_over(member->team)) {
        replace(&dice, blocks, PAIRS_SET, ROUNDS_AT_ONCE);
        member->operations += ROUNDS_AT_ONCE;
    }
}

static void *live_one_life(void *argument)
{
    struct lane *lane = argument;
    for (size_t i = 0; i < LIFE && !team_is_over(lane->member->team);
         i += ROUNDS_AT_ONCE) {
        replace(&lane->dice, lane->blocks, SERVER_SET, ROUNDS_AT_ONCE);
        lane->member->operations += ROUNDS_AT_ONCE;
    }
    return NULL;
}

/* The member only waits for the threads that do the work in its place; they
 * inherit its CPU. */
static void server_work(struct member *member)
{
    struct lane lane = {.dice = {member->number}, .member = member};
    void *blocks[SERVER_SET] = {NULL};
    lane.blocks = blocks;
    while (!team_is_over(member->team)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, live_one_life, &lane) != 0) {
            bench_fail("no thread");
        }
        pthread_join(thread, NULL);
    }
}

/* True if there was room for a batch. */
static bool produce(struct ring *ring, struct dice *dice)
{
    uint64_t written = ring->written;
    if (written - __atomic_load_n(&ring->read, __ATOMIC_ACQUIRE) + BATCH >
        RING) {
        return false;
    }
    for (size_t i = 0; i < BATCH; i++) {
        ring->blocks[(written + i) % RING] =
            block_new(dice_between(dice, 16, 256), i);
    }
    __atomic_store_n(&ring->written, written + BATCH, __ATOMIC_RELEASE);
    return true;
}

/* True if there was a batch. */
static bool consume(struct ring *ring)
{
    uint64_t read = ring->read;
    if (__atomic_load_n(&ring->written, __ATOMIC_ACQUIRE) == read) {
        return false;
    }
    for (size_t i = 0; i < BATCH; i++) {
        free(ring->blocks[(read + i) % RING]);
    }
    __atomic_store_n(&ring->read, read + BATCH, __ATOMIC_RELEASE);
    return true;
}

static void pipeline_work(struct member *member)
{
    struct ring *rings = member->team->context;
    unsigned threads = member->team->threads;
    struct ring *to_next = &rings[member->number];
    struct ring *from_last = &rings[(member->number + threads - 1) % threads];
    struct dice dice = {member->number};
    while (!team_is_over(member->team)) {
        bool has_produced = produce(to_next, &dice);
        bool has_consumed = consume(from_last);
        member->operations += has_consumed ? BATCH : 0;
        if (!has_produced && !has_consumed) {
            sched_yield();
        }
    }
}

static const struct {
    const char *name;
    void (*work)(struct member *member);
} works[] = {
    {"pairs", pairs_work},
    {"server", server_work},
    {"pipeline", pipeline_work},
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void run_work(size_t number, unsigned threads, uint64_t milliseconds)
{
    struct ring *rings = bench_table(threads * sizeof rings[0]);
    struct team team;
    uint64_t operations = 0;
    team_start(&team, threads, works[number].work, rings);
    double start = seconds_now();
    team_stop_after(&team, milliseconds);
    double seconds = seconds_now() - start;
    for (unsigned i = 0; i < threads; i++) {
        operations += team.members[i].operations;
    }
    printf("operations_per_second %.0f\n", (double)operations / seconds);
}

int main(int argc, char **argv)
{
    unsigned long threads = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    for (size_t i = 0; i < ARRAY_LENGTH(works); i++) {
        if (threads >= 1 && threads <= MOST_THREADS &&
            strcmp(argv[1], works[i].name) == 0) {
            run_work(i, (unsigned)threads, strtoull(argv[3], NULL, 10));
            return 0;
        }
    }
    fprintf(stderr, "usage: scaling LOAD THREADS MILLISECONDS\n");
    return 2;
}
