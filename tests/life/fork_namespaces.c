/*
 * fork_namespaces.c - a child of the same number as its parent is a child.
 *
 * The first process of a new namespace of processes is number 1 there, as its
 * parent is in its own; so the number of a process does not tell whether there
 * was a fork. Each of some parents, number 1 itself, forks such a child while
 * its threads are in the middle of malloc.
 */
#define _GNU_SOURCE
#include "hammer.h"
#include "trial.h"

#include <sched.h>
#include <stdbool.h>

enum { PARENTS = 40, HAMMERING_THREADS = 3, CANNOT = 77 };

static void be_a_child_of_the_same_number(void)
{
    trial_watch();
    MUST(getpid() == 1);
    hammer_free_shelves();
    hammer_some(200);
    hammer_some_in_threads(2, 100);
    MUST(ptm_check() == 0);
    exit(0);
}

static void be_a_parent(void)
{
    trial_watch();
    MUST(getpid() == 1);
    hammer_start(HAMMERING_THREADS);
    MUST(unshare(CLONE_NEWPID) == 0);
    pid_t child = fork();
    if (child == 0)
        be_a_child_of_the_same_number();
    trial_child_must_succeed(child);
    hammer_stop();
    exit(0);
}

/* Whoever is not root needs a namespace of users for it, which nobody gets in a
 * changed root. */
static bool enter_new_namespace(void)
{
    return unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0 ||
           unshare(CLONE_NEWPID) == 0;
}

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    for (int i = 0; i < PARENTS; i++) {
        trial_watch();
        pid_t outside = fork();
        if (outside == 0) {
            if (!enter_new_namespace())
                _exit(CANNOT);
            pid_t parent = fork();
            if (parent == 0)
                be_a_parent();
            trial_child_must_succeed(parent);
            _exit(0);
        }
        int status = 0;
        MUST(outside > 0 && waitpid(outside, &status, 0) == outside);
        if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
            fputs("this system lets nobody make a namespace\n", stderr);
            return CANNOT;
        }
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    return 0;
}
