/*
 * fork_threads.c - a child forked from a program whose other threads are in
 * the middle of malloc has a malloc that works.
 *
 * Some two thousand children, grandchildren included. Each of them frees the
 * blocks that the parent's threads were using, allocates in threads of its own
 * and lets the heap be checked; every tenth has a child, and that one too.
 */
#include "hammer.h"
#include "trial.h"

enum { FORKS = 1500, HAMMERING_THREADS = 3, GENERATIONS = 3 };

static void use_what_was_inherited(void)
{
    trial_watch();
    hammer_some(50);
    hammer_free_shelves();
    MUST(ptm_check() == 0);
    hammer_some_in_threads(2, 100);
    MUST(ptm_check() == 0);
}

static void be_a_child(int generations)
{
    use_what_was_inherited();
    for (int i = 1; i < generations; i++) {
        pid_t next_generation = fork();

        if (next_generation != 0) {
            trial_child_must_succeed(next_generation);
            break;
        }
        use_what_was_inherited();
    }
    hammer_some(50);
    _exit(0);
}

/* A child that forks while it has threads of its own at work. */
static void be_a_threaded_child(void)
{
    trial_watch();
    hammer_free_shelves();
    hammer_start(2);
    for (int i = 0; i < 20; i++) {
        pid_t grandchild = fork();

        if (grandchild == 0)
            be_a_child(1);
        trial_child_must_succeed(grandchild);
    }
    hammer_stop();
    MUST(ptm_check() == 0);
    exit(0);
}

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    hammer_start(HAMMERING_THREADS);
    for (int i = 0; i < FORKS; i++) {
        pid_t child;

        trial_watch();
        child = fork();
        if (child == 0 && i % 100 == 99)
            be_a_threaded_child();
        if (child == 0)
            be_a_child(i % 10 == 0 ? GENERATIONS : 1);
        trial_child_must_succeed(child);
    }
    hammer_stop();
    MUST(ptm_check() == 0);
    return 0;
}
