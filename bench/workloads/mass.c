/*
 * mass - allocate everything, then free everything.
 *
 * Compilers, batch jobs and programs that load a file do this. No call finds
 * a block that was freed a moment ago: allocation is as fast as fresh memory
 * can be cut up, freeing as fast as blocks can be taken back that no cache
 * will hold. The order of the frees decides how often neighbours merge:
 *
 *   same     oldest first, as a queue is emptied; merges on one side
 *   reverse  youngest first, as destructors run
 *   random   as a hash table is emptied; every free is a cache miss, and most
 *            of the merges come late
 *
 * Each pass after the first shows how well the freed memory is used again.
 */
#include "bench.h"
#include "random.h"

enum order { SAME, REVERSE, RANDOM };

/* order[i] is the block that is freed as the i-th. */
static uint32_t *freeing_order(enum order kind, size_t count)
{
    uint32_t *order = bench_table(count * sizeof order[0]);
    struct dice dice = {count};
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)(kind == REVERSE ? count - 1 - i : i);
    }
    for (size_t i = count - 1; kind == RANDOM && i > 0; i--) {
        size_t other = dice_below(&dice, i + 1);
        uint32_t swapped = order[i];
        order[i] = order[other];
        order[other] = swapped;
    }
    return order;
}

static void allocate_and_free_all(const struct workload *workload,
                                  uint64_t passes)
{
    size_t count = workload->count;
    void **blocks = bench_table(count * sizeof blocks[0]);
    const uint32_t *order = freeing_order(workload->kind, count);
    struct dice dice = {1};
    uint64_t sum = 0;
    bench_begin();
    for (uint64_t pass = 0; pass < passes; pass++) {
        for (size_t i = 0; i < count; i++) {
            blocks[i] = block_new(
                dice_between(&dice, workload->low, workload->high), i ^ pass);
        }
        for (size_t i = 0; i < count; i++) {
            void *block = blocks[order[i]];
            sum += block_stamp(block) * (i + 1);
            free(block);
        }
    }
    bench_end(passes * count);
    bench_digest(sum);
}

#define MASS(name, low, high, count, kind, passes)                             \
    {                                                                          \
        name, CPU_TIME, passes, 1, allocate_and_free_all, low, high, count,    \
            kind                                                               \
    }

static const struct workload workloads[] = {
    MASS("small-same", 16, 128, 400000, SAME, 8),
    MASS("small-reverse", 16, 128, 400000, REVERSE, 8),
    MASS("small-random", 16, 128, 400000, RANDOM, 4),
    MASS("medium-same", 100, 3000, 50000, SAME, 8),
    MASS("medium-reverse", 100, 3000, 50000, REVERSE, 8),
    MASS("medium-random", 100, 3000, 50000, RANDOM, 8),
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
