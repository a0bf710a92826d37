/*
 * fork_atfork.c - fork handlers of others allocate.
 *
 * Handlers that are older than the allocator's own are registered before any
 * constructor runs: their child handler comes first, while the allocator has
 * not yet made the child ready; their prepare handler comes last, after the
 * allocator's. Handlers that are younger are registered by main. All of them
 * allocate and free, while other threads do, and call malloc_trim
 * now and then.
 */
#include "hammer.h"
#include "trial.h"

#include <malloc.h>
#include <pthread.h>

enum { FORKS = 400, HAMMERING_THREADS = 4, BLOCKS = 30 };

static int prepare_runs;
static int parent_runs;
static int child_runs;
static void *block_across_fork;

static void trim_now_and_then(int runs)
{
    if (runs % 20 < 2)
        malloc_trim(0);
}

static void prepare(void)
{
    prepare_runs++;
    trim_now_and_then(prepare_runs);
    hammer_some(BLOCKS);
    free(block_across_fork);
    block_across_fork = malloc(5000);
    MUST(block_across_fork != NULL);
}

static void parent(void)
{
    parent_runs++;
    trim_now_and_then(parent_runs);
    hammer_some(BLOCKS);
    free(block_across_fork);
    block_across_fork = NULL;
}

static void child(void)
{
    trial_watch();
    child_runs++;
    trim_now_and_then(parent_runs + child_runs);
    hammer_some(BLOCKS);
    free(block_across_fork);
    block_across_fork = NULL;
}

static void register_before_everybody(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    (void)envp;
    pthread_atfork(prepare, parent, child);
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(
    int, char **, char **) = register_before_everybody;

static void be_a_child(void)
{
    MUST(child_runs == 2);
    hammer_some(BLOCKS);
    hammer_free_shelves();
    MUST(ptm_check() == 0);
    _exit(0);
}

static void fork_many(void)
{
    for (int i = 0; i < FORKS; i++) {
        pid_t pid;

        trial_watch();
        pid = fork();
        if (pid == 0)
            be_a_child();
        trial_child_must_succeed(pid);
    }
}

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    MUST(pthread_atfork(prepare, parent, child) == 0);
    hammer_start(HAMMERING_THREADS);
    fork_many();
    hammer_stop();
    MUST(prepare_runs == 2 * FORKS);
    MUST(parent_runs == 2 * FORKS);
    MUST(ptm_check() == 0);
    return 0;
}
