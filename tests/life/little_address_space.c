/*
 * little_address_space.c - eight threads at work in an address space of
 * 200,000 KiB.
 *
 * Run under `ulimit -v 200000` (see CMakeLists.txt): the limit is there before
 * the program's first instruction. A 64 MiB reservation for each thread would
 * not fit, let alone 128 MiB; a few MiB of blocks for each thread do.
 */
#include "trial.h"

#include <pthread.h>
#include <sys/resource.h>

enum {
    THREADS = 8,
    STACK_SIZE = 256 * 1024,
    BLOCKS = 200,
    ROUNDS = 50,
    LIMIT_KIB = 200000,
};

static pthread_barrier_t start_line;

static size_t size_of_block(int i)
{
    return i % 10 == 0 ? 100 * 1000 : (size_t)i * 40;
}

/* About 2 MiB live in each thread, none of which may be refused. */
static void *allocate_modestly(void *unused)
{
    static __thread char *blocks[BLOCKS];

    pthread_barrier_wait(&start_line);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(size_of_block(i) + 1);
            MUST(blocks[i] != NULL);
            memset(blocks[i], i, size_of_block(i) + 1);
        }
        for (int i = 0; i < BLOCKS; i++) {
            MUST(blocks[i][size_of_block(i)] == (char)i);
            free(blocks[i]);
        }
    }
    pthread_barrier_wait(&start_line);
    return unused;
}

int main(void)
{
    pthread_attr_t attributes;
    pthread_t threads[THREADS];
    struct rlimit limit;

    trial_watch();
    MUST(getrlimit(RLIMIT_AS, &limit) == 0);
    MUST(limit.rlim_cur == (rlim_t)LIMIT_KIB * 1024);
    trial_malloc_must_be_ptm();
    MUST(pthread_barrier_init(&start_line, NULL, THREADS) == 0);
    MUST(pthread_attr_init(&attributes) == 0);
    MUST(pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], &attributes, allocate_modestly,
                            NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    MUST(ptm_check() == 0);
    return 0;
}
