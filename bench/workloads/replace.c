/*
 * replace - free a random block, allocate one of a random size.
 *
 * What a long-running program does: sizes mix and lifetimes have no order, so
 * free space comes in pieces of the wrong size. Time shows how an allocator
 * searches and splits, and what its caches are worth when the sizes change
 * with each call; peak RSS shows its fragmentation, since the bytes in use
 * stay level.
 *
 *   8..1000   mostly inside the small classes of any allocator
 *   8..8000   beyond many a cache's largest class: the slow paths
 *   skewed    as real programs have it: each doubling from 16 to 16 KiB as
 *             likely as the next, a burst of equal sizes now and then
 */
#include "bench.h"
#include "random.h"

enum { EVENLY, SKEWED };

/* Skewed: a quarter of the requests repeat the size before. */
static size_t next_size(const struct workload *workload, struct dice *dice,
                        size_t last)
{
    if (workload->kind == EVENLY) {
        return dice_between(dice, workload->low, workload->high);
    }
    if (dice_below(dice, 4) == 0) {
        return last;
    }
    return dice_doubling(dice, workload->low, workload->high);
}

static void replace_any_size(const struct workload *workload, uint64_t amount)
{
    size_t count = workload->count, size = workload->low;
    void **blocks = bench_table(count * sizeof blocks[0]);
    struct dice dice = {workload->high};
    uint64_t sum = 0;
    bench_begin();
    for (size_t i = 0; i < count; i++) {
        size = next_size(workload, &dice, size);
        blocks[i] = block_new(size, i);
    }
    for (uint64_t i = 0; i < amount; i++) {
        void **slot = &blocks[dice_below(&dice, count)];
        sum += block_stamp(*slot);
        free(*slot);
        size = next_size(workload, &dice, size);
        *slot = block_new(size, i);
    }
    for (size_t i = 0; i < count; i++) {
        free(blocks[i]);
    }
    bench_end(amount);
    bench_digest(sum);
}

#define REPLACE(name, low, high, count, kind, amount, quick)                   \
    {                                                                          \
        name, CPU_TIME, amount, quick, replace_any_size, low, high, count,     \
            kind                                                               \
    }

static const struct workload workloads[] = {
    REPLACE("8..1000-1000", 8, 1000, 1000, EVENLY, 8000000, 400000),
    REPLACE("8..1000-20000", 8, 1000, 20000, EVENLY, 3000000, 200000),
    REPLACE("8..8000-1000", 8, 8000, 1000, EVENLY, 5000000, 200000),
    REPLACE("8..8000-10000", 8, 8000, 10000, EVENLY, 1500000, 150000),
    REPLACE("skewed-20000", 16, 16384, 20000, SKEWED, 2000000, 200000),
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
