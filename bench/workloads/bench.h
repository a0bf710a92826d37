/*
 * bench.h - what all workloads share: the command line, the clocks, blocks.
 *
 * A group is one program with a table of workloads and
 *
 *   int main(int argc, char **argv)
 *   {
 *       return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
 *   }
 *
 *   GROUP --list        prints a line for each: name, measure, amount, quick
 *   GROUP NAME AMOUNT   runs one and prints lines of a key and a value
 *
 * A workload does its preparations, calls bench_begin(), works, calls
 * bench_end() and prints nothing itself. Its own tables come from
 * bench_table(), never from malloc, so that only what is measured is in the
 * allocator. It is determined by its seed; what it read in its blocks goes
 * into bench_digest(), and the driver compares the digests that single
 * threads reached under each allocator.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum measure {
    CPU_TIME,   /* for a fixed amount of work; less is better */
    THROUGHPUT, /* operations a second in a fixed time; more is better */
    MEMORY,     /* only the peak RSS counts */
};

struct workload {
    const char *name;
    enum measure measure;
    uint64_t amount; /* of work; milliseconds for THROUGHPUT */
    uint64_t quick;  /* the same for --quick; 0: left out there */
    void (*run)(const struct workload *workload, uint64_t amount);
    size_t low, high; /* sizes of the blocks */
    size_t count;     /* blocks that live at a time, or the group's say */
    unsigned kind;    /* the group's say */
};

int bench_main(const struct workload *workloads, size_t count, int argc,
               char **argv);

/* The measured part. */
void bench_begin(void);
void bench_end(uint64_t operations);

/* A further figure in the output, or in the digest. */
void bench_note(const char *key, double value);
void bench_digest(uint64_t value);

/* Zeroed memory past the allocator, resident from the start and never given
 * back; the driver takes it off the peak RSS. */
void *bench_table(size_t bytes);

/* Ends the program; a bench does not go on with less memory. */
_Noreturn void bench_fail(const char *what);

/* CPUs that this process may use, at least 2: a workload of several threads
 * is one on a machine with one CPU too. */
unsigned bench_cpus(void);

/* KiB resident now. */
size_t bench_resident_kib(void);

/* A real program fills what it asks for; a bench that did it whole would
 * measure memset. So: a word at the start, which is checked later, a word at
 * the end, one in each cache line of the first KiB, and one in each page. */
static inline void block_touch(void *block, size_t size, uint64_t stamp)
{
    char *bytes = block;
    for (size_t at = 64; at + 8 <= size && at < 1024; at += 64) {
        *(uint64_t *)(void *)(bytes + at) = stamp;
    }
    for (size_t at = 4096; at + 8 <= size; at += 4096) {
        *(uint64_t *)(void *)(bytes + at) = stamp;
    }
    *(uint64_t *)(void *)(bytes + ((size - 8) & ~(size_t)7)) = stamp;
    *(uint64_t *)block = stamp;
}

static inline void *block_require(void *block)
{
    if (__builtin_expect(block == NULL, 0)) {
        bench_fail("no memory");
    }
    return block;
}

/* Sizes are 8 at least. */
static inline void *block_new(size_t size, uint64_t stamp)
{
    void *block = block_require(malloc(size));
    block_touch(block, size, stamp);
    return block;
}

static inline uint64_t block_stamp(const void *block)
{
    return *(const uint64_t *)block;
}

#endif
