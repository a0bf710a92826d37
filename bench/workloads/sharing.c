/*
 * sharing - small blocks of several threads on one cache line.
 *
 * The two tests of Berger's Hoard paper (2000). If blocks of two threads
 * share a line, every store of one takes the line from the other, and the
 * program is slower than with one thread although nothing is shared.
 *
 *   active   each thread allocates small blocks at the same time as the
 *            others: an allocator that cuts one line for several threads
 *            causes the sharing itself
 *   passive  the main thread allocates neighbours and hands one to each
 *            thread, which frees it and allocates again: an allocator that
 *            lets a thread keep the remains of a shared line passes it on
 *
 * An operation is 100 stores to a block between malloc and free.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "team.h"

enum { STORES = 100 };

struct sharing {
    const struct workload *workload;
    void **first; /* one for each thread, or NULL */
};

static void store_often(volatile uint64_t *word)
{
    for (uint64_t i = 0; i < STORES; i++) {
        *word += i;
    }
}

static void member_work(struct member *member)
{
    const struct sharing *sharing = member->team->context;
    size_t size = sharing->workload->low;
    if (sharing->first != NULL) {
        free(sharing->first[member->number]);
    }
    while (!team_is_over(member->team)) {
        uint64_t *block = block_new(size, 0);
        store_often(block);
        free(block);
        member->operations++;
    }
}

static void run_active(const struct workload *workload, uint64_t milliseconds)
{
    struct sharing sharing = {workload, NULL};
    struct team team;
    team_start(&team, bench_cpus(), member_work, &sharing);
    team_stop_after(&team, milliseconds);
}

static void run_passive(const struct workload *workload, uint64_t milliseconds)
{
    unsigned threads = bench_cpus();
    struct sharing sharing = {workload, bench_table(threads * sizeof(void *))};
    for (unsigned i = 0; i < threads; i++) {
        sharing.first[i] = block_new(workload->low, i);
    }
    struct team team;
    team_start(&team, threads, member_work, &sharing);
    team_stop_after(&team, milliseconds);
}

static const struct workload workloads[] = {
    {"active", THROUGHPUT, 300, 30, run_active, 8, 8, 0, 0},
    {"passive", THROUGHPUT, 300, 30, run_passive, 8, 8, 0, 0},
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
