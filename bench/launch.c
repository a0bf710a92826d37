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
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    double start = wall_clock();
    pid_t child = fork();
    if (child < 0) {
        fail("fork");
    }
    if (child == 0) {
        execv(argv[2], argv + 2);
        fail(argv[2]);
    }
    int status = 0;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0) {
        if (errno != EINTR) {
            fail("wait4");
        }
    }
    write_usage(argv[1], &usage, wall_clock() - start, status);
    return 0;
}
