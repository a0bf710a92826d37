/*
 * server - threads that die and hand their blocks to new ones.
 *
 * The idea of Larson and Krishnan (Memory allocation for long-running server
 * applications, 1998): each connection has a set of blocks, of which requests
 * replace random ones; after some requests its thread ends, and a new thread
 * goes on with the same set. So most blocks are freed by a thread that did
 * not allocate them, whose own thread is gone, and whatever a dead thread kept
 * in its cache must find its way to the living.
 *
 * One thread for each CPU, and then more of them than CPUs: there a thread
 * may be preempted while it holds a lock.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "random.h"
#include "team.h"

#include <pthread.h>
#include <semaphore.h>

enum { REQUESTS_IN_A_LIFE = 20000 };

/* One connection: the set of blocks, and what the threads count in turn. */
struct lane {
    _Alignas(128) struct dice dice;
    uint64_t operations;
    void **blocks;
    struct server *server;
};

struct server {
    const struct workload *workload;
    _Alignas(128) unsigned over;
    sem_t ended; /* posted once for each lane */
};

static void serve_requests(struct lane *lane)
{
    const struct workload *workload = lane->server->workload;
    for (size_t i = 0; i < REQUESTS_IN_A_LIFE; i++) {
        void **slot = &lane->blocks[dice_below(&lane->dice, workload->count)];
        free(*slot);
        *slot = block_new(
            dice_between(&lane->dice, workload->low, workload->high), i);
    }
    lane->operations += REQUESTS_IN_A_LIFE;
}

static void *connection_main(void *argument);

/* The new thread starts while the old one still ends. */
static void start_thread(struct lane *lane)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, connection_main, lane) != 0) {
        bench_fail("no thread");
    }
    pthread_detach(thread);
}

static void *connection_main(void *argument)
{
    struct lane *lane = argument;
    serve_requests(lane);
    if (__atomic_load_n(&lane->server->over, __ATOMIC_RELAXED) != 0) {
        sem_post(&lane->server->ended);
    } else {
        start_thread(lane);
    }
    return NULL;
}

/* The main thread allocates the first set of each. */
static struct lane *prepare_lanes(struct server *server, unsigned count)
{
    struct lane *lanes = bench_table(count * sizeof lanes[0]);
    const struct workload *workload = server->workload;
    for (unsigned i = 0; i < count; i++) {
        struct lane *lane = &lanes[i];
        lane->server = server;
        lane->dice.state = i;
        lane->blocks = bench_table(workload->count * sizeof lane->blocks[0]);
        for (size_t block = 0; block < workload->count; block++) {
            lane->blocks[block] = block_new(
                dice_between(&lane->dice, workload->low, workload->high), i);
        }
    }
    return lanes;
}

static void serve(const struct workload *workload, uint64_t milliseconds)
{
    struct server server = {.workload = workload};
    unsigned count = bench_cpus() * workload->kind;
    sem_init(&server.ended, 0, 0);
    struct lane *lanes = prepare_lanes(&server, count);
    bench_begin();
    for (unsigned i = 0; i < count; i++) {
        start_thread(&lanes[i]);
    }
    sleep_milliseconds(milliseconds);
    __atomic_store_n(&server.over, 1, __ATOMIC_RELAXED);
    uint64_t operations = 0;
    for (unsigned i = 0; i < count; i++) {
        while (sem_wait(&server.ended) != 0) {
        }
    }
    for (unsigned i = 0; i < count; i++) {
        operations += lanes[i].operations;
    }
    bench_end(operations);
}

/* `kind`: threads for each CPU. */
#define SERVER(name, low, high, count, threads)                                \
    {                                                                          \
        name, THROUGHPUT, 400, 30, serve, low, high, count, threads            \
    }

static const struct workload workloads[] = {
    SERVER("small", 8, 256, 1000, 1),
    SERVER("mixed", 8, 1000, 5000, 1),
    SERVER("large", 1000, 32000, 500, 1),
    SERVER("crowded", 8, 1000, 1000, 8),
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
