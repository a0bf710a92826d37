/*
 * threads - many that come and go, and many that stay and do nothing.
 *
 * What an allocator keeps for each thread has a price: memory for threads
 * that sleep in a pool, time and leaks for those that a server starts for
 * each request.
 *
 *   come-and-go  1,000 threads, four at a time, each of which allocates a few
 *                hundred blocks and frees all of them; CPU time. The note
 *                growth_kib is what is resident after the last and was not
 *                after the hundredth: 0 if nothing is left behind
 *   idle         500 threads that allocate and free ten blocks and then sleep;
 *                memory only. The note kib_a_thread includes the stack pages
 *                that a thread touches, the same for all allocators
 */
#define _GNU_SOURCE
#include "bench.h"
#include "random.h"

#include <pthread.h>

enum { AT_A_TIME = 4, FIRST_THREADS = 100, MANY = 300, FEW = 10 };

/* A small stack, so that the address space does not decide. */
static pthread_t start(void *(*work)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    if (pthread_create(&thread, &attributes, work, argument) != 0) {
        bench_fail("no thread");
    }
    pthread_attr_destroy(&attributes);
    return thread;
}

/* Allocates so many blocks and frees them; what it read in them. */
static uint64_t use_blocks(size_t count, size_t largest, uint64_t seed)
{
    void *blocks[MANY];
    struct dice dice = {seed};
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = block_new(dice_between(&dice, 16, largest), i);
    }
    for (size_t i = 0; i < count; i++) {
        sum += block_stamp(blocks[i]);
        free(blocks[i]);
    }
    return sum;
}

static void *short_life(void *argument)
{
    uint64_t seed = (uintptr_t)argument;
    return (void *)(uintptr_t)use_blocks(MANY, 2000, seed);
}

static uint64_t come_and_go(size_t threads)
{
    pthread_t running[AT_A_TIME];
    uint64_t sum = 0;
    for (size_t i = 0; i < threads + AT_A_TIME; i++) {
        pthread_t *place = &running[i % AT_A_TIME];
        if (i >= AT_A_TIME) {
            void *result;
            pthread_join(*place, &result);
            sum += (uint64_t)(uintptr_t)result;
        }
        if (i < threads) {
            *place = start(short_life, (void *)(uintptr_t)i);
        }
    }
    return sum;
}

static void run_come_and_go(const struct workload *workload, uint64_t amount)
{
    (void)workload;
    bench_begin();
    uint64_t sum = come_and_go(FIRST_THREADS);
    size_t before = bench_resident_kib();
    sum += come_and_go(amount - FIRST_THREADS);
    size_t after = bench_resident_kib();
    bench_end(amount);
    bench_digest(sum);
    bench_note("growth_kib", (double)after - (double)before);
}

static pthread_barrier_t all_idle, all_done;

static void *idle_life(void *argument)
{
    use_blocks(FEW, 1000, (uintptr_t)argument);
    pthread_barrier_wait(&all_idle);
    pthread_barrier_wait(&all_done);
    return NULL;
}

static void run_idle(const struct workload *workload, uint64_t amount)
{
    (void)workload;
    unsigned threads = (unsigned)amount;
    pthread_t *running = bench_table(threads * sizeof running[0]);
    pthread_barrier_init(&all_idle, NULL, threads + 1);
    pthread_barrier_init(&all_done, NULL, threads + 1);
    free(block_new(100, 1));
    size_t before = bench_resident_kib();
    bench_begin();
    for (unsigned i = 0; i < threads; i++) {
        running[i] = start(idle_life, (void *)(uintptr_t)i);
    }
    pthread_barrier_wait(&all_idle);
    size_t after = bench_resident_kib();
    pthread_barrier_wait(&all_done);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(running[i], NULL);
    }
    bench_end(threads);
    bench_note("kib_a_thread", (double)(after - before) / threads);
}

static const struct workload workloads[] = {
    {"1000-come-and-go", CPU_TIME, 1000, 200, run_come_and_go, 0, 0, 0, 0},
    {"500-idle", MEMORY, 500, 500, run_idle, 0, 0, 0, 0},
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
