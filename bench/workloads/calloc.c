/*
 * calloc - zeroed blocks, replaced at random.
 *
 * Many programs take all their records from calloc. Used blocks must be
 * cleared, fresh pages of the kernel are clear already; an allocator that
 * knows which is which saves the clearing, and for large blocks the touching
 * of pages that the program may never use.
 *
 *   small   16..512 bytes: the hot path plus a short memset
 *   medium  4..64 KiB: clearing is most of the work
 *   large   256 KiB..4 MiB tables, of which every eighth page is used
 */
#include "bench.h"
#include "random.h"

/* What is used must be zero, and the last byte as well; both are then set. */
static uint64_t check_and_touch(char *bytes, size_t size, size_t stride)
{
    uint64_t found = 0;
    for (size_t at = 0; at + 8 < size; at += stride) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        found |= word;
        memset(bytes + at, 0xa5, sizeof word);
    }
    found |= (unsigned char)bytes[size - 1];
    bytes[size - 1] = 0x5a;
    return found;
}

/* `kind`: the distance of the words that are used. */
static void replace_zeroed(const struct workload *workload, uint64_t amount)
{
    void **blocks = bench_table(workload->count * sizeof blocks[0]);
    struct dice dice = {workload->high};
    uint64_t found = 0;
    bench_begin();
    for (uint64_t i = 0; i < amount; i++) {
        void **slot = &blocks[dice_below(&dice, workload->count)];
        size_t size = dice_between(&dice, workload->low, workload->high);
        free(*slot);
        *slot = block_require(calloc(1, size));
        found |= check_and_touch(*slot, size, workload->kind);
    }
    for (size_t i = 0; i < workload->count; i++) {
        free(blocks[i]);
    }
    bench_end(amount);
    if (found != 0) {
        bench_fail("calloc gave memory that is not zero");
    }
}

#define CALLOC(name, low, high, count, stride, amount, quick)                  \
    {                                                                          \
        name, CPU_TIME, amount, quick, replace_zeroed, low, high, count,       \
            stride                                                             \
    }

static const struct workload workloads[] = {
    CALLOC("small", 16, 512, 5000, 64, 5000000, 300000),
    CALLOC("medium", 4096, 65536, 200, 512, 150000, 8000),
    CALLOC("large", 262144, 4194304, 10, 32768, 2000, 200),
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
