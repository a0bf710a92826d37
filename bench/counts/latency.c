/*
 * latency - how long single calls of malloc and free take, the rare ones too.
 *
 *   latency LOAD OPERATIONS     LOAD: alone or exchange
 *
 * A mean hides the call in ten thousand that merges, trims, maps or waits for
 * a lock. So each call is timed with the processor's time stamp, fenced on
 * both sides, less what timing an empty call takes, and counted in a histogram
 * whose steps are 1.6 % wide. Prints lines of a key and nanoseconds, like
 * `malloc_p99.9 81.2`.
 *
 *   alone      random blocks of a working set are replaced: 8..8000 bytes, one
 *              in 64 up to 200,000 bytes, so that direct mappings stay out of
 *              it but all else takes part
 *   exchange   two threads do that with one common set, so that each frees
 *              what either allocated
 */
#define _GNU_SOURCE
#include "../workloads/bench.h"
#include "../workloads/random.h"
#include "../workloads/team.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

enum {
    WORKING_SET = 4000,
    MOST = 200000,
    COMMON_MOST = 8000,
    RARITY = 64, /* of the sizes between these two */
    CALIBRATIONS = 20000,
    STEPS = 64, /* of a histogram, for each doubling */
    DOUBLINGS = 40,
};

/* Counts by duration in time stamp units: below STEPS exactly, above it 64
 * steps for each doubling. */
struct histogram {
    uint64_t counts[DOUBLINGS * STEPS];
    uint64_t total, most;
};

static size_t step_of(uint64_t duration)
{
    if (duration < STEPS) {
        return duration;
    }
    unsigned doubling = 63u - (unsigned)__builtin_clzll(duration) - 6 + 1;
    size_t step = (duration >> (doubling - 1)) - STEPS;
    return doubling < DOUBLINGS ? doubling * STEPS + step
                                : DOUBLINGS * STEPS - 1;
}

/* The least duration of a step. */
static uint64_t duration_of(size_t step)
{
    size_t doubling = step / STEPS;
    return doubling == 0 ? step : (STEPS + step % STEPS) << (doubling - 1);
}

static void histogram_add(struct histogram *histogram, uint64_t duration)
{
    histogram->counts[step_of(duration)]++;
    histogram->total++;
    if (duration > histogram->most) {
        histogram->most = duration;
    }
}

static void histogram_merge(struct histogram *into,
                            const struct histogram *other)
{
    for (size_t i = 0; i < ARRAY_LENGTH(into->counts); i++) {
        into->counts[i] += other->counts[i];
    }
    into->total += other->total;
    into->most = other->most > into->most ? other->most : into->most;
}

/* The duration that all but a share of the calls stay within. */
static uint64_t histogram_beyond(const struct histogram *histogram,
                                 double share)
{
    uint64_t beyond = (uint64_t)((double)histogram->total * share);
    uint64_t seen = 0;
    for (size_t i = ARRAY_LENGTH(histogram->counts); i-- > 0;) {
        seen += histogram->counts[i];
        if (seen > beyond) {
            return duration_of(i);
        }
    }
    return 0;
}

/* ------------------------------------------------------------------------
 * The clock. */

static uint64_t timing_cost; /* of an empty call, taken off each */
static double nanoseconds_a_unit;

static inline uint64_t stamp_before(void)
{
    _mm_lfence();
    uint64_t stamp = __rdtsc();
    _mm_lfence();
    return stamp;
}

static inline uint64_t stamp_after(void)
{
    unsigned unused;
    uint64_t stamp = __rdtscp(&unused);
    _mm_lfence();
    return stamp;
}

static inline uint64_t duration(uint64_t before, uint64_t after)
{
    uint64_t all = after - before;
    return all > timing_cost ? all - timing_cost : 0;
}

__attribute__((noinline)) static void *empty_call(size_t size)
{
    __asm__ volatile("" : : "r"(size) : "memory");
    return NULL;
}

static uint64_t nanoseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The middle of many empty calls; and the unit over some 50 ms. */
static void calibrate(void)
{
    struct histogram *empty = bench_table(sizeof *empty);
    uint64_t start = nanoseconds_now(), first = __rdtsc();
    for (size_t i = 0; i < CALIBRATIONS; i++) {
        uint64_t before = stamp_before();
        empty_call(i);
        histogram_add(empty, stamp_after() - before);
    }
    sleep_milliseconds(50);
    uint64_t last = __rdtsc(), end = nanoseconds_now();
    timing_cost = histogram_beyond(empty, 0.5);
    nanoseconds_a_unit = (double)(end - start) / (double)(last - first);
}

/* ------------------------------------------------------------------------
 * The loads. */

struct worker {
    struct histogram mallocs, frees;
    struct dice dice;
    uint64_t operations;
    void **blocks; /* its own, or those of both */
};

static size_t next_size(struct dice *dice)
{
    return dice_below(dice, RARITY) == 0 ? dice_between(dice, COMMON_MOST, MOST)
                                         : dice_between(dice, 8, COMMON_MOST);
}

static void *timed_malloc(struct worker *worker, size_t size)
{
    uint64_t before = stamp_before();
    void *block = malloc(size);
    histogram_add(&worker->mallocs, duration(before, stamp_after()));
    return block_require(block);
}

static void timed_free(struct worker *worker, void *block)
{
    uint64_t before = stamp_before();
    free(block);
    histogram_add(&worker->frees, duration(before, stamp_after()));
}

/* The exchange is one atomic operation in either load; nothing of it is in
 * the measured calls. */
static void replace_blocks(struct worker *worker)
{
    for (uint64_t i = 0; i < worker->operations; i++) {
        size_t size = next_size(&worker->dice);
        void *block = timed_malloc(worker, size);
        block_touch(block, size, i);
        void **slot = &worker->blocks[dice_below(&worker->dice, WORKING_SET)];
        void *old = __atomic_exchange_n(slot, block, __ATOMIC_ACQ_REL);
        timed_free(worker, old);
    }
}

/* The first blocks warm up; they are not timed. */
static void **new_set(void)
{
    void **blocks = bench_table(WORKING_SET * sizeof blocks[0]);
    struct dice dice = {1};
    for (size_t i = 0; i < WORKING_SET; i++) {
        blocks[i] = block_new(next_size(&dice), i);
    }
    return blocks;
}

static void member_work(struct member *member)
{
    struct worker *workers = member->team->context;
    replace_blocks(&workers[member->number]);
}

static void print_percentiles(const char *name,
                              const struct histogram *histogram)
{
    static const struct {
        const char *name;
        double beyond;
    } percentiles[] = {{"p50", 0.5},
                       {"p90", 0.1},
                       {"p99", 0.01},
                       {"p99.9", 0.001},
                       {"p99.99", 0.0001}};
    for (size_t i = 0; i < ARRAY_LENGTH(percentiles); i++) {
        uint64_t units = histogram_beyond(histogram, percentiles[i].beyond);
        printf("%s_%s %.1f\n", name, percentiles[i].name,
               (double)units * nanoseconds_a_unit);
    }
    printf("%s_max %.1f\n", name, (double)histogram->most * nanoseconds_a_unit);
}

static void run_load(unsigned threads, uint64_t operations)
{
    struct worker *workers = bench_table(threads * sizeof workers[0]);
    void **blocks = new_set();
    for (unsigned i = 0; i < threads; i++) {
        workers[i].dice.state = i + 2;
        workers[i].operations = operations / threads;
        workers[i].blocks = blocks;
    }
    struct team team;
    team_start(&team, threads, member_work, workers);
    team_stop_after(&team, 0);
    for (unsigned i = 1; i < threads; i++) {
        histogram_merge(&workers[0].mallocs, &workers[i].mallocs);
        histogram_merge(&workers[0].frees, &workers[i].frees);
    }
    print_percentiles("malloc", &workers[0].mallocs);
    print_percentiles("free", &workers[0].frees);
}

int main(int argc, char **argv)
{
    bool is_alone = argc == 3 && strcmp(argv[1], "alone") == 0;
    bool is_exchange = argc == 3 && strcmp(argv[1], "exchange") == 0;
    if (!is_alone && !is_exchange) {
        fprintf(stderr, "usage: latency alone|exchange OPERATIONS\n");
        return 2;
    }
    calibrate();
    printf("timing_cost %.1f\n", (double)timing_cost * nanoseconds_a_unit);
    run_load(is_alone ? 1 : 2, strtoull(argv[2], NULL, 10));
    return 0;
}
