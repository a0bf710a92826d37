/*
 * scenes.c - programs whose demand passes, to see what becomes of their memory.
 *
 * Each scene prints a line when a part of it begins, and `figure NAME N` for
 * what it knows of itself; bench/memory/run looks at the process meanwhile. At
 * the end, after the line "idle", nothing is called until a byte comes on
 * standard input. Tables are the scene's own and come from mmap; they are gone
 * before it is idle.
 *
 *   survivors THREADS MB PERMILLE   all allocate at once, MB in all, in objects
 *                  of 16 to 1,024 bytes; then each object is freed, but for so
 *                  many chosen at random. The threads stay, and sleep.
 *   ended THREADS MB PERMILLE       the same, but the threads end.
 *   thrash CYCLES MB                one thread allocates MB and frees all of
 *                  it, again and again.
 *   buffers THREADS CYCLES          each takes, fills and frees 11 MiB
 *   turns THREADS MB                each allocates and frees MB, one after the
 *                  other; all stay
 *   pool THREADS ROUNDS             as many threads come, allocate and free 8
 *                  MB, and end, in every round
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
#include <unistd.h>

#include "../workloads/random.h"

enum {
    OBJECT_MIN = 16,
    OBJECT_MAX = 1024,
    BUFFER = 11 << 20,
    POOL_MB = 8,
    THREADS_MAX = 256,
};

static void say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

static void say_figure(const char *name, long figure)
{
    printf("figure %s %ld\n", name, figure);
    fflush(stdout);
}

static void stay_idle(void)
{
    char byte;
    char word[] = "idle\n";
    fflush(stdout);
    if (write(STDOUT_FILENO, word, sizeof word - 1) < 0 ||
        read(STDIN_FILENO, &byte, 1) < 0) {
        _exit(1);
    }
}

static void *table_of(size_t bytes)
{
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED) {
        abort();
    }
    return table;
}

/* ---- one thread's objects ------------------------------------------------ */

struct share {
    struct dice dice;
    size_t bytes; /* to allocate */
    size_t permille;
    bool stays;
    char **objects;
    uint16_t *sizes;
    size_t count;
    size_t table; /* entries */
    pthread_t thread;
};

static pthread_barrier_t barrier;

static void fill_share(struct share *share)
{
    share->table = share->bytes / OBJECT_MIN + 1;
    share->objects = table_of(share->table * sizeof *share->objects);
    share->sizes = table_of(share->table * sizeof *share->sizes);
    for (size_t done = 0; done < share->bytes; share->count++) {
        size_t size = dice_doubling(&share->dice, OBJECT_MIN, OBJECT_MAX);
        char *object = malloc(size);
        if (object == NULL) {
            abort();
        }
        memset(object, 1, size);
        share->objects[share->count] = object;
        share->sizes[share->count] = (uint16_t)size;
        done += size;
    }
}

/* Survivors move to the front of the table. */
static void free_share(struct share *share)
{
    size_t kept = 0;
    for (size_t i = 0; i < share->count; i++) {
        if (dice_below(&share->dice, 1000) < share->permille) {
            share->objects[kept] = share->objects[i];
            share->sizes[kept++] = share->sizes[i];
        } else {
            free(share->objects[i]);
        }
    }
    share->count = kept;
}

static void drop_tables(struct share *share)
{
    munmap(share->objects, share->table * sizeof *share->objects);
    munmap(share->sizes, share->table * sizeof *share->sizes);
}

static void sleep_for_ever(void)
{
    for (;;) {
        pause();
    }
}

/* ---- survivors ----------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return left < right ? -1 : left > right;
}

/* Pages of 4 KiB that the survivors lie in, and their bytes. */
static void report_survivors(struct share *shares, size_t threads)
{
    size_t count = 0, bytes = 0, pages = 0;
    for (size_t i = 0; i < threads; i++) {
        count += shares[i].count;
    }
    size_t table_bytes = 2 * (count + 1) * sizeof(uintptr_t);
    uintptr_t *table = table_of(table_bytes);
    size_t entries = 0;
    for (size_t i = 0; i < threads; i++) {
        for (size_t at = 0; at < shares[i].count; at++) {
            uintptr_t object = (uintptr_t)shares[i].objects[at];
            bytes += shares[i].sizes[at];
            table[entries++] = object >> 12;
            table[entries++] = (object + shares[i].sizes[at] - 1) >> 12;
        }
    }
    qsort(table, entries, sizeof *table, by_value);
    for (size_t i = 0; i < entries; i++) {
        pages += i == 0 || table[i] != table[i - 1];
    }
    munmap(table, table_bytes);
    say_figure("live", (long)bytes);
    say_figure("pages", (long)pages << 12);
}

static void *hold_share(void *argument)
{
    struct share *share = argument;
    fill_share(share);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    free_share(share);
    pthread_barrier_wait(&barrier);
    if (share->stays) {
        sleep_for_ever();
    }
    return NULL;
}

static void begin_shares(struct share *shares, size_t threads, size_t megabytes,
                         size_t permille, bool stays)
{
    for (size_t i = 0; i < threads; i++) {
        shares[i] = (struct share){
            .dice = {i + 1},
            .bytes = (megabytes << 20) / threads,
            .permille = permille,
            .stays = stays,
        };
    }
}

static void scene_survivors(size_t threads, size_t megabytes, size_t permille,
                            bool stays)
{
    static struct share shares[THREADS_MAX];
    begin_shares(shares, threads, megabytes, permille, stays);
    if (threads == 1) {
        fill_share(shares);
        say("peak");
        free_share(shares);
    } else {
        pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
        for (size_t i = 0; i < threads; i++) {
            pthread_create(&shares[i].thread, NULL, hold_share, &shares[i]);
        }
        pthread_barrier_wait(&barrier);
        say("peak");
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        for (size_t i = 0; i < threads && !stays; i++) {
            pthread_join(shares[i].thread, NULL);
        }
    }
    report_survivors(shares, threads);
    for (size_t i = 0; i < threads; i++) {
        drop_tables(&shares[i]);
    }
    stay_idle();
}

/* ---- thrash -------------------------------------------------------------- */

static void scene_thrash(size_t cycles, size_t megabytes)
{
    struct share share;
    struct rusage before, after;
    begin_shares(&share, 1, megabytes, 0, false);
    fill_share(&share);
    free_share(&share);
    drop_tables(&share);
    size_t count = (megabytes << 20) / (OBJECT_MAX * 16);
    char **blocks = table_of(count * sizeof *blocks);
    memset(blocks, 0, count * sizeof *blocks);
    getrusage(RUSAGE_SELF, &before);
    for (size_t cycle = 0; cycle < cycles; cycle++) {
        for (size_t i = 0; i < count; i++) {
            blocks[i] = malloc(OBJECT_MAX * 16);
            memset(blocks[i], 1, OBJECT_MAX * 16);
        }
        for (size_t i = 0; i < count; i++) {
            free(blocks[i]);
        }
    }
    getrusage(RUSAGE_SELF, &after);
    say_figure("faults", after.ru_minflt - before.ru_minflt);
    say_figure("microseconds",
               (after.ru_utime.tv_sec - before.ru_utime.tv_sec +
                after.ru_stime.tv_sec - before.ru_stime.tv_sec) *
                       1000000 +
                   (after.ru_utime.tv_usec - before.ru_utime.tv_usec +
                    after.ru_stime.tv_usec - before.ru_stime.tv_usec));
    munmap(blocks, count * sizeof *blocks);
    stay_idle();
}

/* ---- buffers, turns, pool ------------------------------------------------ */

struct worker {
    pthread_t thread;
    size_t cycles;
    struct share share;
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *cycle_buffers(void *argument)
{
    struct worker *worker = argument;
    for (size_t i = 0; i < worker->cycles; i++) {
        char *buffer = malloc(BUFFER);
        memset(buffer, 1, BUFFER);
        free(buffer);
    }
    pthread_barrier_wait(&barrier);
    sleep_for_ever();
    return NULL;
}

static void *take_a_turn(void *argument)
{
    struct worker *worker = argument;
    pthread_mutex_lock(&turn);
    fill_share(&worker->share);
    free_share(&worker->share);
    drop_tables(&worker->share);
    pthread_mutex_unlock(&turn);
    pthread_barrier_wait(&barrier);
    sleep_for_ever();
    return NULL;
}

static void *come_and_go(void *argument)
{
    struct worker *worker = argument;
    fill_share(&worker->share);
    free_share(&worker->share);
    drop_tables(&worker->share);
    return NULL;
}

static struct worker workers[THREADS_MAX];

static void start_workers(size_t threads, void *(*work)(void *), size_t cycles,
                          size_t megabytes)
{
    for (size_t i = 0; i < threads; i++) {
        workers[i].cycles = cycles;
        begin_shares(&workers[i].share, 1, megabytes, 0, false);
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
}

static void scene_workers(size_t threads, void *(*work)(void *), size_t cycles,
                          size_t megabytes)
{
    pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
    start_workers(threads, work, cycles, megabytes);
    pthread_barrier_wait(&barrier);
    say_figure("live", 0);
    stay_idle();
}

static void scene_pool(size_t threads, size_t rounds)
{
    for (size_t round = 0; round < rounds; round++) {
        start_workers(threads, come_and_go, 0, POOL_MB);
        for (size_t i = 0; i < threads; i++) {
            pthread_join(workers[i].thread, NULL);
        }
    }
    say_figure("live", 0);
    stay_idle();
}

int main(int count, char **words)
{
    size_t numbers[3] = {0};
    if (count < 4 || count > 5) {
        fprintf(stderr, "usage: scenes SCENE NUMBER NUMBER [NUMBER]\n");
        return 2;
    }
    for (int i = 2; i < count; i++) {
        numbers[i - 2] = strtoul(words[i], NULL, 10);
    }
    const char *scene = words[1];
    size_t threads = numbers[0] < THREADS_MAX ? numbers[0] : THREADS_MAX;
    say("start");
    if (strcmp(scene, "survivors") == 0 || strcmp(scene, "ended") == 0) {
        scene_survivors(threads, numbers[1], numbers[2], scene[0] == 's');
    } else if (strcmp(scene, "thrash") == 0) {
        scene_thrash(numbers[0], numbers[1]);
    } else if (strcmp(scene, "buffers") == 0) {
        scene_workers(threads, cycle_buffers, numbers[1], 0);
    } else if (strcmp(scene, "turns") == 0) {
        scene_workers(threads, take_a_turn, 0, numbers[1]);
    } else if (strcmp(scene, "pool") == 0) {
        scene_pool(threads, numbers[1]);
    } else {
        fprintf(stderr, "no scene is called %s\n", scene);
        return 2;
    }
    return 0;
}
