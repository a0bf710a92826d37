/*
 * far_heaps.c - a program that maps much: its later heaps lie more than 64 GiB
 * from the first one, and free has to find them by the owner table.
 *
 * Run with guard=0, as a guarded block moves with each realloc.
 */
#include "trial.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

enum {
    COUNT = 4000,
    LARGE = 60000,
};

static char *blocks[COUNT];

static size_t size_of(size_t i)
{
    return i % 2 == 0 ? LARGE + i : i % 1200 + 1;
}

static uintptr_t distance(const void *one, const void *other)
{
    return one > other ? (uintptr_t)one - (uintptr_t)other
                       : (uintptr_t)other - (uintptr_t)one;
}

static int is_far(size_t i)
{
    return distance(blocks[0], blocks[i]) > (uintptr_t)64 << 30;
}

static void *free_all(void *unused)
{
    for (size_t i = 1; i < COUNT; i++) {
        MUST(blocks[i][0] == (char)i);
        free(blocks[i]);
    }
    return unused;
}

static void resize_all(void)
{
    for (size_t i = 1; i < COUNT; i++) {
        size_t usable = malloc_usable_size(blocks[i]);
        MUST(usable >= size_of(i));
        char *same = realloc(blocks[i], usable);
        MUST(same == blocks[i]);
    }
}

/* The program ends by its own hand. */
static void free_twice(char *block)
{
    pid_t child = fork();
    int status = 0;
    if (child == 0) {
        trial_watch();
        close(STDERR_FILENO);
        free(block);
        free(block);
        _exit(0);
    }
    MUST(child > 0);
    MUST(waitpid(child, &status, 0) == child);
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void play(int is_remote)
{
    pthread_t thread;
    size_t far = 0;
    for (size_t i = 1; i < COUNT; i++) {
        blocks[i] = malloc(size_of(i));
        MUST(blocks[i] != NULL);
        blocks[i][0] = (char)i;
        far += (size_t)is_far(i);
    }
    MUST(far > COUNT / 4);
    resize_all();
    for (size_t i = 1; i < COUNT; i += is_far(i) ? COUNT / 8 : 1) {
        if (is_far(i)) {
            free_twice(blocks[i]);
        }
    }
    if (is_remote) {
        MUST(pthread_create(&thread, NULL, free_all, NULL) == 0);
        MUST(pthread_join(thread, NULL) == 0);
    } else {
        free_all(NULL);
    }
}

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    blocks[0] = malloc(100);
    size_t much = (size_t)256 << 30;
    void *wall = mmap(NULL, much, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(wall != MAP_FAILED);
    play(0);
    play(1);
    free(blocks[0]);
    return 0;
}
