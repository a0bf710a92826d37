/*
 * exchange - all threads swap blocks through one table.
 *
 * Shared caches, actor systems, graphs that several threads rewrite: any
 * block may be freed by any thread, in no order and no direction. With N
 * threads, 1 - 1/N of the frees are of another's block; nothing comes in
 * batches of one owner, which is hard on schemes that collect remote frees.
 *
 * A thread allocates and fills a block, swaps it into a random place of the
 * table and frees what was there. Half of the operations of the `half`
 * workload stay in the thread, as most do in most programs.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "random.h"
#include "team.h"

struct exchange {
    const struct workload *workload;
    void **table; /* shared; any slot by one atomic exchange */
};

static void replace_shared(const struct exchange *exchange, struct dice *dice)
{
    const struct workload *workload = exchange->workload;
    void **slot = &exchange->table[dice_below(dice, workload->count)];
    void *block =
        block_new(dice_between(dice, workload->low, workload->high), 1);
    free(__atomic_exchange_n(slot, block, __ATOMIC_ACQ_REL));
}

enum { ALL_SHARED, HALF_SHARED, OWN_BLOCKS = 256, STEPS = 64 };

static void member_work(struct member *member)
{
    const struct exchange *exchange = member->team->context;
    const struct workload *workload = exchange->workload;
    void *own[OWN_BLOCKS] = {NULL};
    struct dice dice = {member->number};
    while (!team_is_over(member->team)) {
        for (size_t i = 0; i < STEPS; i++) {
            if (workload->kind == ALL_SHARED || i % 2 == 0) {
                replace_shared(exchange, &dice);
                continue;
            }
            void **slot = &own[dice_below(&dice, OWN_BLOCKS)];
            free(*slot);
            *slot = block_new(
                dice_between(&dice, workload->low, workload->high), i);
        }
        member->operations += STEPS;
    }
    for (size_t i = 0; i < OWN_BLOCKS; i++) {
        free(own[i]);
    }
}

static void run_exchange(const struct workload *workload, uint64_t milliseconds)
{
    struct exchange exchange = {
        .workload = workload,
        .table = bench_table(workload->count * sizeof(void *)),
    };
    struct team team;
    team_start(&team, bench_cpus(), member_work, &exchange);
    team_stop_after(&team, milliseconds);
}

#define EXCHANGE(name, low, high, count, kind)                                 \
    {                                                                          \
        name, THROUGHPUT, 400, 30, run_exchange, low, high, count, kind        \
    }

static const struct workload workloads[] = {
    EXCHANGE("small", 16, 256, 16384, ALL_SHARED),
    EXCHANGE("small-half", 16, 256, 16384, HALF_SHARED),
    EXCHANGE("mixed", 8, 4000, 8192, ALL_SHARED),
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
