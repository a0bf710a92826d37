/*
 * pairs - free one block of a fixed size, allocate another.
 *
 * The hot path of every allocator: most calls of most programs are for a few
 * small sizes and meet a block of the same size that was freed a moment ago.
 * The size says how much of the cache lines a block shares with neighbours and
 * headers; the working set says what misses:
 *
 *   1          nothing: instructions are all that counts
 *   100        a function's worth of temporaries; the first cache level
 *   4,000      beyond what a cache of one thread keeps in one list
 *   20,000     beyond the second cache level for the larger sizes
 *   1,000,000  blocks are cold: each memory access the allocator makes besides
 *              the block's own cache line is a miss
 *
 * A random block of the working set is replaced each time, so frees come in no
 * order that an allocator could profit from. 1,024 bytes are left out at
 * 1,000,000: that is a gigabyte.
 */
#include "bench.h"
#include "random.h"

static void replace_one_size(const struct workload *workload, uint64_t amount)
{
    size_t count = workload->count, size = workload->low;
    void **blocks = bench_table(count * sizeof blocks[0]);
    struct dice dice = {count + size};
    uint64_t sum = 0;
    bench_begin();
    for (size_t i = 0; i < count; i++) {
        blocks[i] = block_new(size, i);
    }
    for (uint64_t i = 0; i < amount; i++) {
        void **slot = &blocks[dice_below(&dice, count)];
        sum += block_stamp(*slot);
        free(*slot);
        *slot = block_new(size, i);
    }
    for (size_t i = 0; i < count; i++) {
        free(blocks[i]);
    }
    bench_end(amount);
    bench_digest(sum);
}

#define PAIRS(name, size, count, amount, quick)                                \
    {                                                                          \
        name, CPU_TIME, amount, quick, replace_one_size, size, size, count, 0  \
    }

static const struct workload workloads[] = {
    PAIRS("64-1", 64, 1, 24000000, 1500000),
    PAIRS("16-100", 16, 100, 20000000, 1500000),
    PAIRS("64-100", 64, 100, 20000000, 1500000),
    PAIRS("256-100", 256, 100, 20000000, 1500000),
    PAIRS("1024-100", 1024, 100, 16000000, 1000000),
    PAIRS("8192-100", 8192, 100, 12000000, 1000000),
    PAIRS("16-4000", 16, 4000, 14000000, 1000000),
    PAIRS("40-4000", 40, 4000, 14000000, 1000000),
    PAIRS("64-4000", 64, 4000, 14000000, 1000000),
    PAIRS("256-4000", 256, 4000, 10000000, 700000),
    PAIRS("600-4000", 600, 4000, 9000000, 600000),
    PAIRS("1024-4000", 1024, 4000, 8000000, 500000),
    PAIRS("16-20000", 16, 20000, 12000000, 700000),
    PAIRS("64-20000", 64, 20000, 10000000, 600000),
    PAIRS("256-20000", 256, 20000, 6000000, 400000),
    PAIRS("1024-20000", 1024, 20000, 2500000, 200000),
    PAIRS("16-1000000", 16, 1000000, 4000000, 0),
    PAIRS("64-1000000", 64, 1000000, 3000000, 0),
    PAIRS("256-1000000", 256, 1000000, 2000000, 0),
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
