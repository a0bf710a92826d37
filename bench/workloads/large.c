/*
 * large - blocks of kilobytes and megabytes, replaced at random.
 *
 * Network and file buffers, images, matrices. Beyond the small classes an
 * allocator either searches free space under a lock or goes to the kernel, and
 * a fresh page costs more than any search: who gives every large block back at
 * once pays a page fault for each page of the next, who keeps all of them pays
 * in memory.
 *
 *   100k          one block of 100 kB, over and over: a buffer in a loop
 *   8k..64k       200 buffers
 *   64k..16m      20 blocks, each doubling of the size as likely as the next
 *   256k..4m-one  one at a time: a decoder that asks for each frame anew
 */
#include "bench.h"
#include "random.h"

static void replace_large(const struct workload *workload, uint64_t amount)
{
    void **blocks = bench_table(workload->count * sizeof blocks[0]);
    struct dice dice = {workload->low};
    uint64_t sum = 0;
    bench_begin();
    for (uint64_t i = 0; i < amount; i++) {
        void **slot = &blocks[dice_below(&dice, workload->count)];
        size_t size = workload->low == workload->high
                          ? workload->low
                          : dice_doubling(&dice, workload->low, workload->high);
        if (*slot != NULL) {
            sum += block_stamp(*slot);
            free(*slot);
        }
        *slot = block_new(size, i);
    }
    for (size_t i = 0; i < workload->count; i++) {
        free(blocks[i]);
    }
    bench_end(amount);
    bench_digest(sum);
}

#define LARGE(name, low, high, count, amount, quick)                           \
    {                                                                          \
        name, CPU_TIME, amount, quick, replace_large, low, high, count, 0      \
    }

static const struct workload workloads[] = {
    LARGE("100k", 100000, 100000, 1, 3000000, 100000),
    LARGE("8k..64k", 8192, 65536, 200, 1500000, 60000),
    LARGE("64k..16m", 65536, 16 << 20, 20, 800, 120),
    LARGE("256k..4m-one", 262144, 4 << 20, 1, 8000, 300),
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
