/*
 * A library's fork handler that stands before all others and starts a thread in
 * the child: what ptm repairs after fork must be repaired by then, and must not
 * be repaired again under that thread. The helper that came with it is the only
 * one, whatever threads the child makes later.
 */
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>

#include "trial.h"

enum {
    CHILDREN = 300,
    SLOTS = 64,
};

static atomic_bool is_armed;
static atomic_bool has_begun;
static atomic_bool must_stop;
static pthread_t worker;

static void *allocate_until_stopped(void *unused)
{
    void *blocks[SLOTS] = {NULL};

    (void)unused;
    for (unsigned i = 0; !atomic_load(&must_stop); i++) {
        free(blocks[i % SLOTS]);
        blocks[i % SLOTS] = i % 4 == 0 ? malloc(300000) : memalign(64, 1000);
        atomic_store(&has_begun, true);
    }
    for (int i = 0; i < SLOTS; i++)
        free(blocks[i]);
    return NULL;
}

static void start_a_thread(void)
{
    if (!atomic_load(&is_armed))
        return;
    MUST(pthread_create(&worker, NULL, allocate_until_stopped, NULL) == 0);
    while (!atomic_load(&has_begun))
        ;
}

static void register_first(void)
{
    pthread_atfork(NULL, NULL, start_a_thread);
}

__attribute__((section(".preinit_array"),
               used)) static void (*const first)(void) = register_first;

static int count_threads(void)
{
    DIR *threads = opendir("/proc/self/task");
    int count = 0;

    MUST(threads != NULL);
    for (const struct dirent *entry = readdir(threads); entry != NULL;
         entry = readdir(threads))
        count += entry->d_name[0] != '.';
    closedir(threads);
    return count;
}

static void *do_nothing(void *unused)
{
    return unused;
}

/* One that has ended may be there for a moment. */
static void there_must_be_one_helper(void)
{
    pthread_t another;

    MUST(pthread_create(&another, NULL, do_nothing, NULL) == 0);
    MUST(pthread_join(another, NULL) == 0);
    while (count_threads() > 2)
        usleep(1000);
}

static void be_the_child(void)
{
    trial_watch();
    usleep(1000);
    atomic_store(&must_stop, true);
    MUST(pthread_join(worker, NULL) == 0);
    there_must_be_one_helper();
    MUST(ptm_check() == 0);
    MUST(mallinfo2().hblks == 0);
    _exit(0);
}

static void *stay(void *unused)
{
    for (;;)
        pause();
    return unused;
}

/* The first half of the children have a parent without threads. */
int main(void)
{
    trial_malloc_must_be_ptm();
    for (int i = 0; i < CHILDREN; i++) {
        pthread_t thread;
        pid_t child;

        trial_watch();
        if (i == CHILDREN / 2)
            MUST(pthread_create(&thread, NULL, stay, NULL) == 0);
        atomic_store(&is_armed, true);
        child = fork();
        if (child == 0)
            be_the_child();
        trial_child_must_succeed(child);
    }
    return 0;
}
