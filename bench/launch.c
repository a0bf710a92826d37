/*
 * launch.c - runs a command and writes down what it used.
 *
 *   launch FILE COMMAND [ARGUMENT...]
 *
 * The driver is a Python program of some 15 MB, and the kernel counts the
 * memory a process had before its exec into its peak: started from there, a
 * program that needs 2 MB would seem to need 15. So this small static program
 * stands in between. It has no allocator and no preloaded library in it.
 *
 * FILE gets lines of a key and a value: the CPU seconds and the peak RSS (of
 * the largest process, in KiB) of the command and of all the children that it
 * waited for, the page faults, the wall clock and the exit status, which is
 * 128 + the signal after a death by signal.
 *
 * What the kernel says of the peak of a process that has ended is a sum that
 * each CPU adds to now and then: some 250 KiB too little for one that holds
 * 1.6 MB. So the command is stopped just before its memory goes, by way of
 * ptrace, when the kernel counts page by page; it runs at full speed until
 * then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
    fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
    exit(2);
}

static double wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The peak of a process that is stopped, in KiB; 0 if the kernel does not tell.
 * Where it counts what there is now page by page, and remembers the sum of
 * before, this is the larger of both. */
static long peak_of(pid_t process)
{
    char path[64], line[256];
    long peak = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL &&
           sscanf(line, "VmHWM: %ld", &peak) != 1) {
    }
    if (file != NULL) {
        fclose(file);
    }
    return peak;
}

/* The command begins when the parent closes its end of the pipe. */
static void run_when_watched(const int gate[2], char **command)
{
    char none;
    close(gate[1]);
    while (read(gate[0], &none, 1) < 0 && errno == EINTR) {
    }
    close(gate[0]);
    execv(command[0], command);
    fail(command[0]);
}

static bool is_event(int status, int event)
{
    return status >> 8 == (SIGTRAP | event << 8);
}

static bool stops_a_process(int number)
{
    return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN ||
           number == SIGTTOU;
}

/* Lets a process that is stopped go on as it would if nobody watched it. */
static void let_go_on(pid_t child, int status)
{
    int number = WSTOPSIG(status);
    if (is_event(status, PTRACE_EVENT_EXIT)) {
        ptrace(PTRACE_CONT, child, NULL, 0L);
    } else if (status >> 16 == PTRACE_EVENT_STOP) {
        ptrace(stops_a_process(number) ? PTRACE_LISTEN : PTRACE_CONT, child,
               NULL, 0L);
    } else {
        ptrace(PTRACE_CONT, child, NULL, (long)number);
    }
}

/* Waits for the end; what its peak was is in `usage` then. */
static int wait_and_watch(pid_t child, struct rusage *usage)
{
    int status = 0;
    long peak = 0;
    do {
        while (wait4(child, &status, 0, usage) < 0) {
            if (errno != EINTR) {
                fail("wait4");
            }
        }
        if (WIFSTOPPED(status)) {
            if (is_event(status, PTRACE_EVENT_EXIT)) {
                peak = peak_of(child);
            }
            let_go_on(child, status);
        }
    } while (WIFSTOPPED(status));
    if (usage->ru_maxrss < peak) {
        usage->ru_maxrss = peak;
    }
    return status;
}

static void write_usage(const char *path, const struct rusage *usage,
                        double wall, int status)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fail(path);
    }
    fprintf(file, "user_seconds %.6f\n", seconds(usage->ru_utime));
    fprintf(file, "system_seconds %.6f\n", seconds(usage->ru_stime));
    fprintf(file, "peak_rss_kib %ld\n", usage->ru_maxrss);
    fprintf(file, "minor_faults %ld\n", usage->ru_minflt);
    fprintf(file, "major_faults %ld\n", usage->ru_majflt);
    fprintf(file, "process_wall_seconds %.6f\n", wall);
    fprintf(file, "exit_status %d\n", exit_status(status));
    if (fclose(file) != 0) {
        fail(path);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: launch FILE COMMAND [ARGUMENT...]\n");
        return 2;
    }
    int gate[2];
    if (pipe(gate) != 0) {
        fail("pipe");
    }
    pid_t child = fork();
    if (child < 0) {
        fail("fork");
    }
    if (child == 0) {
        run_when_watched(gate, argv + 2);
    }
    if (ptrace(PTRACE_SEIZE, child, NULL, (long)PTRACE_O_TRACEEXIT) != 0) {
        fprintf(stderr, "launch: peaks are the kernel's sums, as ptrace is "
                        "refused\n");
    }
    double start = wall_clock();
    close(gate[0]);
    close(gate[1]);
    struct rusage usage;
    int status = wait_and_watch(child, &usage);
    write_usage(argv[1], &usage, wall_clock() - start, status);
    return 0;
}
