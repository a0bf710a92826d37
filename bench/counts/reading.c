/*
 * reading.c - a large process that works on: what bench/counts/reading has
 * ptm why read.
 *
 *   reading BLOCKS    makes so many live blocks of 200 bytes on average
 *
 * Then one thread replaces blocks all the time. For each line of input it says
 * how many that were, and how much CPU time that thread has used.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { least = 16, span = 369, replaced = 4096 };

static uint64_t replacements;

static void *block_of(uint64_t random)
{
    char *block = malloc(least + random % span);

    if (block == NULL)
        exit(1);
    block[0] = 1;
    return block;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void *replace(void *unused)
{
    static void *blocks[replaced];
    uint64_t state = 1;

    for (;;) {
        uint64_t random = next_random(&state);
        void **place = &blocks[random % replaced];

        free(*place);
        *place = block_of(random / replaced);
        __atomic_store_n(&replacements, replacements + 1, __ATOMIC_RELAXED);
    }
    return unused;
}

int main(int count, char **words)
{
    long blocks = count == 2 ? atol(words[1]) : 0;
    void **kept = malloc((size_t)blocks * sizeof *kept);
    struct timespec used;
    uint64_t state = 2;
    pthread_t thread;
    clockid_t clock;

    if (kept == NULL || blocks <= 0)
        return 1;
    for (long i = 0; i < blocks; i++)
        kept[i] = block_of(next_random(&state));
    if (pthread_create(&thread, NULL, replace, NULL) != 0 ||
        pthread_getcpuclockid(thread, &clock) != 0)
        return 1;
    puts("ready");
    fflush(stdout);
    for (int c; (c = getchar()) != EOF;) {
        if (c != '\n')
            continue;
        clock_gettime(clock, &used);
        printf("%" PRIu64 " %" PRId64 "\n",
               __atomic_load_n(&replacements, __ATOMIC_RELAXED),
               (int64_t)used.tv_sec * 1000000000 + used.tv_nsec);
        fflush(stdout);
    }
    free(kept);
    return 0;
}
