/*
 * drift.c - a server whose requests change: does its memory grow?
 *
 *     drift MINUTES MB OPERATIONS
 *
 * Four threads answer requests. Each request allocates half a dozen blocks,
 * frees them at its end, and leaves one in a store that all threads share; in
 * its place others go that are chosen at random, so that a block's age has no
 * bound. Every 64th block goes to a second store, a 16th of the size, in which
 * it lives much longer. What sizes are usual drifts: from 48 to 192 bytes they
 * go up to eight times that, and down again, in forty minutes. A tenth of all
 * blocks has any size from 48 bytes to 12 KiB.
 *
 * A minute is so many operations, and takes a second at least: memory that is
 * given back after a while has that while. After each, a line says what the
 * program has live, and what the process has in memory besides what it had at
 * the start, when the program's own tables were there:
 *
 *     minute N live BYTES resident BYTES milliseconds CPU
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../workloads/random.h"

enum {
    THREADS = 4,
    BLOCKS_OF_REQUEST = 6,
    BLOCKS_MOST = 1 << 22,
    SIZE_MIN = 48,
    OCTAVES = 8,           /* 48 bytes to 12 KiB */
    DRIFT_OCTAVES = 3,     /* of what is usual ... */
    MINUTES_OF_CYCLE = 40, /* ... up and down */
    LONG_SHARE = 64,       /* one block in so many lives long ... */
    LONG_BYTES_SHARE = 16, /* ... among so much of all that is live */
};

struct block {
    char *mem;
    size_t size;
};

struct store {
    pthread_mutex_t lock;
    struct block *blocks;
    size_t count;
    size_t bytes;
    size_t most; /* bytes */
};

static struct store common = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct store old = {.lock = PTHREAD_MUTEX_INITIALIZER};
static pthread_barrier_t line;
static size_t operations, minutes;
static size_t base; /* the least usual size; changed between two minutes */

static void *table_of(size_t bytes)
{
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (table == MAP_FAILED) {
        abort();
    }
    return table;
}

static size_t resident(void)
{
    unsigned long size, pages;
    char text[128];
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fgets(text, sizeof text, file) == NULL ||
        sscanf(text, "%lu %lu", &size, &pages) != 2) {
        abort();
    }
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Two octaves from the base on, or any. */
static size_t draw_size(struct dice *dice)
{
    return dice_below(dice, 10) == 0
               ? dice_doubling(dice, SIZE_MIN, SIZE_MIN << OCTAVES)
               : dice_doubling(dice, base, 4 * base);
}

static struct block make_block(struct dice *dice)
{
    struct block block = {.size = draw_size(dice)};
    block.mem = malloc(block.size);
    if (block.mem == NULL) {
        abort();
    }
    memset(block.mem, 1, block.size);
    return block;
}

/* Adds a block; false, and one at random in *block, when there are too many. */
static bool store_has_room(struct store *store, struct dice *dice,
                           struct block *block)
{
    pthread_mutex_lock(&store->lock);
    if (block->mem != NULL) {
        store->blocks[store->count++] = *block;
        store->bytes += block->size;
    }
    bool has_room = store->bytes <= store->most && store->count < BLOCKS_MOST;
    if (!has_room) {
        size_t at = dice_below(dice, store->count);
        *block = store->blocks[at];
        store->blocks[at] = store->blocks[--store->count];
        store->bytes -= block->size;
    }
    pthread_mutex_unlock(&store->lock);
    return has_room;
}

/* One block more, and as many fewer as make up for it. */
static void leave_block(struct dice *dice)
{
    struct block block = make_block(dice);
    struct store *store = dice_below(dice, LONG_SHARE) == 0 ? &old : &common;
    while (!store_has_room(store, dice, &block)) {
        free(block.mem);
        block.mem = NULL;
    }
}

static void answer_request(struct dice *dice)
{
    struct block blocks[BLOCKS_OF_REQUEST];
    for (int i = 0; i < BLOCKS_OF_REQUEST; i++) {
        blocks[i] = make_block(dice);
    }
    leave_block(dice);
    for (int i = 0; i < BLOCKS_OF_REQUEST; i++) {
        free(blocks[i].mem);
    }
}

static void *serve(void *number)
{
    struct dice dice = {(uintptr_t)number + 1};
    for (size_t minute = 0; minute < minutes; minute++) {
        size_t requests = operations / (BLOCKS_OF_REQUEST + 1) / THREADS;
        for (size_t i = 0; i < requests; i++) {
            answer_request(&dice);
        }
        pthread_barrier_wait(&line); /* the minute is over */
        pthread_barrier_wait(&line); /* the next one begins */
    }
    return NULL;
}

/* Each octave takes as long as the next, with steps of an eighth of one. */
static void set_base(size_t minute)
{
    size_t half = MINUTES_OF_CYCLE / 2;
    size_t at = minute % MINUTES_OF_CYCLE;
    size_t eighths =
        (at < half ? at : 2 * half - at) * 8 * DRIFT_OCTAVES / half;
    size_t octave = (size_t)SIZE_MIN << eighths / 8;
    base = octave + octave * (eighths % 8) / 8;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long cpu_milliseconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* Until a second has passed since `begun`. */
static void wait_for_the_second(double begun)
{
    double left = begun + 1 - seconds();
    if (left > 0) {
        usleep((useconds_t)(left * 1e6));
    }
}

int main(int count, char **words)
{
    pthread_t threads[THREADS];
    if (count != 4) {
        fprintf(stderr, "usage: drift MINUTES MB OPERATIONS\n");
        return 2;
    }
    minutes = strtoul(words[1], NULL, 10);
    size_t most = strtoul(words[2], NULL, 10) << 20;
    operations = strtoul(words[3], NULL, 10);
    old.most = most / LONG_BYTES_SHARE;
    common.most = most - old.most;
    common.blocks = table_of(BLOCKS_MOST * sizeof *common.blocks);
    old.blocks = table_of(BLOCKS_MOST * sizeof *old.blocks);
    size_t at_start = resident();
    pthread_barrier_init(&line, NULL, THREADS + 1);
    set_base(0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, serve, (void *)i);
    }
    for (size_t minute = 0; minute < minutes; minute++) {
        double begun = seconds();
        pthread_barrier_wait(&line);
        wait_for_the_second(begun);
        printf("minute %zu live %zu resident %zu milliseconds %ld\n", minute,
               common.bytes + old.bytes, resident() - at_start,
               cpu_milliseconds());
        fflush(stdout);
        set_base(minute + 1);
        pthread_barrier_wait(&line);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    return 0;
}
