/*
 * fork_ways.c - the other ways to make a process: _Fork, clone, vfork with
 * exec, posix_spawn.
 *
 * _Fork and a bare clone run no fork handlers. In a program with one thread
 * the child's malloc must work all the same, and it must when the program's
 * other threads were outside of malloc. Where they may have been inside, the
 * child may only exec or exit.
 */
#include "hammer.h"
#include "trial.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>

enum { ROUNDS = 100, PARKED_THREADS = 4 };

extern char **environ;

/* Not in every libc, hence weak. */
extern pid_t _Fork(void) __attribute__((weak));

static pid_t bare_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void allocate_as_child(void)
{
    alarm(TRIAL_WATCHDOG_SECONDS);
    hammer_some(100);
    hammer_free_shelves();
    MUST(ptm_check() == 0);
    _exit(0);
}

static void children_allocate(pid_t (*make_child)(void))
{
    for (int i = 0; i < ROUNDS; i++) {
        pid_t child = make_child();

        if (child == 0)
            allocate_as_child();
        trial_child_must_succeed(child);
    }
}

static void children_exit(pid_t (*make_child)(void))
{
    for (int i = 0; i < ROUNDS; i++) {
        pid_t child = make_child();

        if (child == 0)
            _exit(0);
        trial_child_must_succeed(child);
    }
}

static void children_exec_after_vfork(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        pid_t child = vfork();

        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        trial_child_must_succeed(child);
    }
}

static void children_spawn(void)
{
    static char name[] = "true";
    char *arguments[] = {name, NULL};

    for (int i = 0; i < ROUNDS; i++) {
        pid_t child;

        MUST(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) ==
             0);
        trial_child_must_succeed(child);
    }
}

static pthread_barrier_t parked;
static pthread_barrier_t may_leave;

/* Has used malloc, and an arena, and stays out of it from now on. */
static void *park(void *unused)
{
    hammer_some(500);
    pthread_barrier_wait(&parked);
    pthread_barrier_wait(&may_leave);
    hammer_some(500);
    return unused;
}

static void children_of_parked_threads(pid_t (*make_child)(void))
{
    pthread_t threads[PARKED_THREADS];

    MUST(pthread_barrier_init(&parked, NULL, PARKED_THREADS + 1) == 0);
    MUST(pthread_barrier_init(&may_leave, NULL, PARKED_THREADS + 1) == 0);
    for (int i = 0; i < PARKED_THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, park, NULL) == 0);
    pthread_barrier_wait(&parked);
    children_allocate(make_child);
    pthread_barrier_wait(&may_leave);
    for (int i = 0; i < PARKED_THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
}

static void try_way(pid_t (*make_child)(void))
{
    trial_watch();
    children_allocate(make_child);
    children_of_parked_threads(make_child);
    hammer_start(4);
    children_exit(make_child);
    hammer_stop();
}

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    try_way(bare_clone);
    if (_Fork)
        try_way(_Fork);
    hammer_start(4);
    children_exec_after_vfork();
    children_spawn();
    hammer_stop();
    MUST(ptm_check() == 0);
    return 0;
}
