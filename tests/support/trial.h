/*
 * trial.h - what a small test program needs: MUST, a watchdog, children that
 * are waited for, and the proof that malloc is ptm's.
 *
 * A trial is a program that exits with 0 when all went well. It ends with
 * _exit(1) and one line on stderr at the first expectation that does not hold,
 * in whatever process and thread that happens. A hang ends the same way, by
 * the watchdog, so that a deadlock is never taken for a slow machine; the
 * stacks of all threads, and of those of its children, are told first, by gdb.
 *
 * Nothing here allocates: messages go out through dprintf, which uses the
 * stack.
 */
#ifndef TRIAL_H
#define TRIAL_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ptm.h>

/* Generous: a trial under it takes seconds, or ten, of processor time, but the
 * machine may have fifty other programs at work. Only what hangs waits for it.
 */
#define TRIAL_WATCHDOG_SECONDS 180

/* CTest reads this exit status as "skipped" where the list says so. */
#define TRIAL_SKIPPED 77

#define MUST(condition)                                                        \
    ((condition) ? (void)0 : trial_failed(__FILE__, __LINE__, #condition))

static inline void trial_failed(const char *file, int line, const char *what)
{
    int error = errno;

    dprintf(2, "%s:%d: does not hold: %s (errno %d, pid %d)\n", file, line,
            what, error, (int)getpid());
    _exit(1);
}

/* gdb is made without libc's fork, whose handlers may be what hangs; and is not
 * waited for without end. */
static inline void trial_show_stacks(int process)
{
    char number[16];
    char *words[] = {"gdb",
                     "-nx",
                     "-batch",
                     "-iex",
                     "set debuginfod enabled off",
                     "-p",
                     number,
                     "-ex",
                     "thread apply all backtrace 16",
                     NULL};
    pid_t gdb;

    snprintf(number, sizeof number, "%d", process);
    dprintf(2, "-- process %d\n", process);
    gdb = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (gdb == 0) {
        unsetenv("LD_LIBRARY_PATH");
        dup2(2, 1);
        execv("/usr/bin/gdb", words);
        _exit(127);
    }
    for (int i = 0; i < 200 && waitpid(gdb, NULL, WNOHANG) == 0; i++)
        usleep(100 * 1000);
}

/* Those that this thread has made. */
static inline void trial_show_children(void)
{
    char text[200], *at = text, *end;
    int file = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);

    text[length > 0 ? length : 0] = '\0';
    for (long child; child = strtol(at, &end, 10), end != at; at = end)
        trial_show_stacks((int)child);
}

static inline void trial_hangs(int signal_number)
{
    (void)signal_number;
    dprintf(2, "watchdog: the trial hangs\n");
    trial_show_children();
    trial_show_stacks((int)getpid());
    _exit(1);
}

/*
 * Starts the watchdog, or starts it afresh. A child of fork has no alarm of
 * its own and must call this first.
 */
static inline void trial_watch_for(unsigned seconds)
{
    signal(SIGALRM, trial_hangs);
    alarm(seconds);
}

static inline void trial_watch(void)
{
    trial_watch_for(TRIAL_WATCHDOG_SECONDS);
}

static atomic_int trial_hook_calls;

static inline void *trial_counting_hook(size_t size, const void *caller)
{
    (void)caller;
    atomic_fetch_add(&trial_hook_calls, 1);
    return malloc(size);
}

/*
 * A trial that runs on another malloc by mistake proves nothing. ptm_check
 * being linked is no proof that malloc is ptm's too; a hook that sees the
 * call is.
 */
static inline void trial_malloc_must_be_ptm(void)
{
    static const struct ptm_hooks hooks = {.malloc_hook = trial_counting_hook};
    int calls_before = atomic_load(&trial_hook_calls);

    ptm_set_hooks(&hooks);
    void *block = malloc(100);
    ptm_set_hooks(NULL);
    MUST(block != NULL);
    MUST(atomic_load(&trial_hook_calls) > calls_before);
    free(block);
}

/* Waits for `child` and expects it to exit with 0. */
static inline void trial_child_must_succeed(pid_t child)
{
    int status = 0;

    MUST(child > 0);
    while (waitpid(child, &status, 0) != child)
        MUST(errno == EINTR);
    if (WIFSIGNALED(status))
        dprintf(2, "child %d ended by signal %d\n", (int)child,
                WTERMSIG(status));
    MUST(WIFEXITED(status));
    MUST(WEXITSTATUS(status) == 0);
}

#endif
