/*
 * watcher.c - libptm-watch.so: what ptm run needs inside of the program that it
 * runs. Preloaded behind ptm, whose functions it calls; it replaces none.
 *
 *   PTM_RUN_CHECK    milliseconds: so often a thread of its own has the whole
 *                    heap checked, and once more at the end. The first damage
 *                    ends the program, as near to its cause as may be.
 *   PTM_RUN_LEAKS    the process that this is to be for,
 *   PTM_RUN_MEAN     and the mean of the profile that begins with it
 *
 * Processes that the program starts are checked as well; in those that it forks
 * there is no such thread, and they are checked at their end.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ptm.h"

/* Without ptm there is nothing to watch. */
#pragma weak ptm_check
#pragma weak ptm_profile_start

static bool checks;

static void say(const char *line)
{
    ssize_t ignored = write(STDERR_FILENO, line, strlen(line));

    (void)ignored;
}

/* It has said what is wrong. */
static void check(void)
{
    if (ptm_check() != 0)
        abort();
}

static void *check_for_ever(void *interval)
{
    for (;;) {
        struct timespec rest = *(const struct timespec *)interval;

        nanosleep(&rest, NULL);
        check();
    }
    return NULL;
}

/* Signals are for the program's own threads. */
static void start_checking(long milliseconds)
{
    static struct timespec interval;
    sigset_t all, before;
    pthread_t thread;

    interval =
        (struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000};
    checks = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, check_for_ever, &interval) == 0)
        pthread_detach(thread);
    else
        say("ptm: no thread to check with: the heap is checked at the end\n");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static long number_in(const char *variable)
{
    const char *text = getenv(variable);

    return text != NULL ? atol(text) : 0;
}

/* The thread's own memory is not to be among what the program has. */
__attribute__((constructor)) static void begin(void)
{
    if (number_in("PTM_RUN_CHECK") > 0 && ptm_check != NULL)
        start_checking(number_in("PTM_RUN_CHECK"));
    if (number_in("PTM_RUN_LEAKS") == (long)getpid() &&
        ptm_profile_start != NULL &&
        ptm_profile_start((size_t)number_in("PTM_RUN_MEAN")) != 0)
        say("ptm: no memory for a profile: no leaks will be listed\n");
}

__attribute__((destructor)) static void end(void)
{
    if (checks)
        check();
}
