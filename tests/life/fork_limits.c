/*
 * Children of fork whose parent was inside its arenas, with few arenas to be
 * had: an arena that a child has lost is not one of those it may have. And
 * children of children, each of which loses some more.
 *
 * Started with MALLOC_ARENA_MAX=1.
 */
#include "hammer.h"
#include "trial.h"

enum {
    CHILDREN = 40,
    GENERATIONS = 12,
    BLOCKS = 1000,
};

static void fork_children(void)
{
    hammer_start(3);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child;

        trial_watch();
        child = fork();
        if (child == 0) {
            trial_watch();
            hammer_some(BLOCKS);
            _exit(0);
        }
        trial_child_must_succeed(child);
    }
    hammer_stop();
}

/* Each process forks the next one with its threads at work, and waits. */
static void fork_generations(void)
{
    for (int generation = 0; generation < GENERATIONS; generation++) {
        pid_t child;

        trial_watch();
        hammer_start(4);
        hammer_some(BLOCKS);
        child = fork();
        if (child != 0) {
            trial_child_must_succeed(child);
            break;
        }
    }
    _exit(0);
}

int main(void)
{
    pid_t child;

    trial_malloc_must_be_ptm();
    fork_children();
    child = fork();
    if (child == 0)
        fork_generations();
    trial_child_must_succeed(child);
    return 0;
}
