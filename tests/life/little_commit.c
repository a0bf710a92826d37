/*
 * little_commit.c - a process that may commit no more than 64 MiB.
 *
 * Run under `ulimit -d 65536` (see CMakeLists.txt). That counts private memory
 * that can be written, whether it is touched or not: the same that the kernel
 * promises to every process, and refuses, where vm.overcommit_memory is 2,
 * which is a setting of the whole machine. Memory is refused when a heap grows
 * (mprotect) as well as when something is mapped.
 *
 * Nearly all of it must be had, in blocks of any size, by one thread and by
 * several; at the end there is NULL and ENOMEM; and when it is freed, whichever
 * sizes it was in, it can be had again in others.
 */
#include "trial.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>

enum {
    LIMIT_KIB = 65536,
    THREADS = 4,
    STACK_SIZE = 256 * 1024, /* a stack counts as well */
    PERCENT_ALONE = 70,   /* of the limit, in bytes that were asked for ... */
    PERCENT_TOGETHER = 60 /* ... by threads, each with a heap and a cache */
};

struct block {
    struct block *next;
};

static const size_t sizes[] = {100, 3000, 100000, 1 << 20, 40, 300000, 1000};

/* Takes blocks until there is no more. */
static struct block *take_all(size_t size, size_t *bytes)
{
    struct block *newest = NULL, *block;

    *bytes = 0;
    errno = 0;
    while ((block = malloc(size)) != NULL) {
        memset(block, 1, size);
        block->next = newest;
        newest = block;
        *bytes += size;
    }
    MUST(errno == ENOMEM);
    return newest;
}

static void give_back(struct block *newest)
{
    while (newest != NULL) {
        struct block *next = newest->next;

        free(newest);
        newest = next;
    }
}

static bool is_share(size_t bytes, unsigned percent)
{
    return bytes >= (size_t)LIMIT_KIB * 1024 / 100 * percent;
}

static pthread_barrier_t all_are_there, all_have_taken;

static void *take_share(void *size)
{
    struct block *blocks;
    size_t bytes;

    pthread_barrier_wait(&all_are_there);
    blocks = take_all((size_t)size, &bytes);
    pthread_barrier_wait(&all_have_taken);
    give_back(blocks);
    return (void *)bytes;
}

static void take_together(size_t size)
{
    pthread_attr_t attributes;
    pthread_t threads[THREADS];
    size_t sum = 0;

    MUST(pthread_attr_init(&attributes) == 0);
    MUST(pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0);
    /* What malloc keeps is not there for stacks. */
    malloc_trim(0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], &attributes, take_share,
                            (void *)size) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *bytes;

        MUST(pthread_join(threads[i], &bytes) == 0);
        sum += (size_t)bytes;
    }
    dprintf(1, "%zu bytes, %d threads: %zu KiB\n", size, THREADS, sum / 1024);
    MUST(is_share(sum, PERCENT_TOGETHER));
}

int main(void)
{
    struct rlimit limit;

    trial_watch();
    MUST(getrlimit(RLIMIT_DATA, &limit) == 0);
    MUST(limit.rlim_cur == (rlim_t)LIMIT_KIB * 1024);
    trial_malloc_must_be_ptm();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t bytes;
        struct block *blocks = take_all(sizes[i], &bytes);

        give_back(blocks);
        dprintf(1, "%zu bytes: %zu KiB\n", sizes[i], bytes / 1024);
        MUST(is_share(bytes, PERCENT_ALONE));
        MUST(ptm_check() == 0);
    }
    MUST(pthread_barrier_init(&all_are_there, NULL, THREADS) == 0);
    MUST(pthread_barrier_init(&all_have_taken, NULL, THREADS) == 0);
    for (size_t i = 0; i < 3; i++) {
        take_together(sizes[i]);
        MUST(ptm_check() == 0);
    }
    return 0;
}
