/*
 * pipeline - producers allocate, consumers free.
 *
 * Queues between threads, and every program that hands work to a pool. All
 * blocks are freed by a thread that did not allocate them, all the time, in one
 * direction: an allocator whose thread caches only ever fill on one side and
 * only ever empty on the other must move memory back in bulk, or pays a lock
 * or an atomic operation for each block. With one consumer, all producers'
 * owners meet there; with one producer, all consumers give back to the same.
 *
 * Each pair of a producer and a consumer has a ring of its own, published 32
 * blocks at a time, so that the queues cost less than what is measured. An
 * operation is a block that was allocated, filled, read and freed.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "random.h"
#include "team.h"

#include <sched.h>

enum { RING = 512, BATCH = 32 };

/* Both counts only grow; their difference is what is in the ring. */
struct ring {
    _Alignas(128) uint64_t written; /* by the producer, released */
    _Alignas(128) uint64_t read;    /* by the consumer, released */
    _Alignas(128) void *blocks[RING];
};

struct pipeline {
    const struct workload *workload;
    struct ring *rings; /* [producer][consumer] */
    unsigned producers, consumers;
};

/* True if there was room for a batch. */
static bool produce(struct ring *ring, struct dice *dice,
                    const struct workload *workload)
{
    uint64_t written = ring->written;
    if (written - __atomic_load_n(&ring->read, __ATOMIC_ACQUIRE) + BATCH >
        RING) {
        return false;
    }
    for (size_t i = 0; i < BATCH; i++) {
        size_t size = dice_between(dice, workload->low, workload->high);
        ring->blocks[(written + i) % RING] = block_new(size, i);
    }
    __atomic_store_n(&ring->written, written + BATCH, __ATOMIC_RELEASE);
    return true;
}

/* True if there was a batch. */
static bool consume(struct ring *ring, uint64_t *sum)
{
    uint64_t read = ring->read;
    if (__atomic_load_n(&ring->written, __ATOMIC_ACQUIRE) == read) {
        return false;
    }
    for (size_t i = 0; i < BATCH; i++) {
        void *block = ring->blocks[(read + i) % RING];
        *sum += block_stamp(block);
        free(block);
    }
    __atomic_store_n(&ring->read, read + BATCH, __ATOMIC_RELEASE);
    return true;
}

static void producer_work(struct member *member)
{
    struct pipeline *pipeline = member->team->context;
    struct ring *rings = &pipeline->rings[member->number * pipeline->consumers];
    struct dice dice = {member->number};
    while (!team_is_over(member->team)) {
        bool any = false;
        for (unsigned i = 0; i < pipeline->consumers; i++) {
            any |= produce(&rings[i], &dice, pipeline->workload);
        }
        if (!any) {
            sched_yield();
        }
    }
}

static void consumer_work(struct member *member)
{
    struct pipeline *pipeline = member->team->context;
    unsigned number = member->number - pipeline->producers;
    uint64_t sum = 0;
    while (!team_is_over(member->team)) {
        bool any = false;
        for (unsigned i = 0; i < pipeline->producers; i++) {
            struct ring *ring =
                &pipeline->rings[i * pipeline->consumers + number];
            if (consume(ring, &sum)) {
                member->operations += BATCH;
                any = true;
            }
        }
        if (!any) {
            sched_yield();
        }
    }
}

static void member_work(struct member *member)
{
    struct pipeline *pipeline = member->team->context;
    if (member->number < pipeline->producers) {
        producer_work(member);
    } else {
        consumer_work(member);
    }
}

enum { ONE_TO_ONE, ONE_TO_MANY, MANY_TO_ONE, MANY_TO_MANY };

static void run_pipeline(const struct workload *workload, uint64_t milliseconds)
{
    unsigned many = bench_cpus(), kind = workload->kind;
    struct pipeline pipeline = {
        .workload = workload,
        .producers = kind == MANY_TO_ONE || kind == MANY_TO_MANY ? many : 1,
        .consumers = kind == ONE_TO_MANY || kind == MANY_TO_MANY ? many : 1,
    };
    pipeline.rings = bench_table((size_t)pipeline.producers *
                                 pipeline.consumers * sizeof pipeline.rings[0]);
    struct team team;
    team_start(&team, pipeline.producers + pipeline.consumers, member_work,
               &pipeline);
    team_stop_after(&team, milliseconds);
}

#define PIPELINE(name, low, high, kind)                                        \
    {                                                                          \
        name, THROUGHPUT, 400, 30, run_pipeline, low, high, 0, kind            \
    }

static const struct workload workloads[] = {
    PIPELINE("1:1", 16, 256, ONE_TO_ONE),
    PIPELINE("1:1-one-size", 64, 64, ONE_TO_ONE),
    PIPELINE("1:1-large", 4096, 65536, ONE_TO_ONE),
    PIPELINE("1:N", 16, 256, ONE_TO_MANY),
    PIPELINE("N:1", 16, 256, MANY_TO_ONE),
    PIPELINE("N:N", 16, 256, MANY_TO_MANY),
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
