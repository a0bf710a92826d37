/*
 * late.c - the allocator serves until the last destructor has run, and while
 * other threads keep running through exit().
 *
 * The endings are played in children. What a destructor did it notes in shared
 * memory, so that a destructor that never ran does not count as one that went
 * well.
 */
#include "early_library.h"
#include "trial.h"

#include <pthread.h>
#include <sys/mman.h>

enum {
    BLOCK_SIZE = 1000,
    MAPPING_SIZE = 1 << 20,
    EXITS_WITH_THREADS = 150,
    THREADS = 4,
};

struct notes {
    int atexit_done;
    int destructor_done;
    int library_done;
    int threads_running;
};

static struct notes *notes;
static void *block_for_atexit;
static void *block_for_destructor;
static void *mapping_for_destructor;
static int ending_is_under_trial;

static void free_in_atexit(void)
{
    void *fresh = malloc(BLOCK_SIZE);

    MUST(fresh != NULL);
    block_for_atexit = realloc(block_for_atexit, MAPPING_SIZE);
    MUST(block_for_atexit != NULL);
    free(block_for_atexit);
    free(fresh);
    notes->atexit_done = 1;
}

__attribute__((destructor)) static void free_in_destructor(void)
{
    if (!ending_is_under_trial)
        return;
    free(block_for_destructor);
    free(mapping_for_destructor);
    free(malloc(BLOCK_SIZE));
    MUST(ptm_check() == 0);
    notes->destructor_done = 1;
}

static void *keep_allocating(void *unused)
{
    __atomic_fetch_add(&notes->threads_running, 1, __ATOMIC_SEQ_CST);
    for (size_t size = 1;; size = size * 5 % 300007) {
        void *block = malloc(size);
        void *other = malloc(size / 2);

        MUST(block != NULL && other != NULL);
        free(block);
        free(other);
    }
    return unused;
}

static void start_threads(void)
{
    pthread_t thread;

    for (int i = 0; i < THREADS; i++)
        MUST(pthread_create(&thread, NULL, keep_allocating, NULL) == 0);
    while (__atomic_load_n(&notes->threads_running, __ATOMIC_SEQ_CST) < THREADS)
        usleep(100);
}

static void end_by_exit(int with_threads)
{
    trial_watch();
    ending_is_under_trial = 1;
    block_for_atexit = malloc(BLOCK_SIZE);
    block_for_destructor = malloc(BLOCK_SIZE);
    mapping_for_destructor = malloc(MAPPING_SIZE);
    early_library_free_at_end(malloc(BLOCK_SIZE), &notes->library_done);
    MUST(atexit(free_in_atexit) == 0);
    if (with_threads)
        start_threads();
    exit(0);
}

static void play_ending(int with_threads)
{
    pid_t child;

    memset(notes, 0, sizeof *notes);
    child = fork();
    if (child == 0)
        end_by_exit(with_threads);
    trial_child_must_succeed(child);
    MUST(notes->atexit_done);
    MUST(notes->destructor_done);
    MUST(notes->library_done);
    MUST(!with_threads || notes->threads_running == THREADS);
}

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(notes != MAP_FAILED);
    play_ending(0);
    for (int i = 0; i < EXITS_WITH_THREADS; i++) {
        trial_watch();
        play_ending(1);
    }
    return 0;
}
