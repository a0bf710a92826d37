/*
 * peak RUNS LIBRARY PROGRAM ARGUMENT...
 *
 * Runs PROGRAM that many times, with LIBRARY preloaded unless that is empty,
 * and prints the median of the peaks of its resident memory in KB.
 *
 * The kernel counts into a process's peak what it had resident just before
 * exec, which after vfork is the memory of its parent. That is why this
 * program is linked statically and does next to nothing: it must stay
 * smaller than whatever it measures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_RUNS 1001

static int by_size(const void *left, const void *right)
{
    const long *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* The peak of one run in KB, or -1 if the program failed. */
static long peak_of_one_run(char **command)
{
    struct rusage usage;
    int status;
    pid_t child = vfork();
    if (child == 0) {
        execv(command[0], command);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0)
        return -1;
    return usage.ru_maxrss;
}

int main(int argc, char **argv)
{
    static long peaks[MOST_RUNS];
    int runs = argc > 3 ? atoi(argv[1]) : 0;
    if (runs < 1 || runs > MOST_RUNS) {
        fprintf(stderr, "usage: peak RUNS LIBRARY PROGRAM ARGUMENT...\n");
        return 2;
    }
    if (argv[2][0] != '\0')
        setenv("LD_PRELOAD", argv[2], 1);
    for (int run = 0; run < runs; run++) {
        peaks[run] = peak_of_one_run(argv + 3);
        if (peaks[run] < 0) {
            fprintf(stderr, "peak: %s failed\n", argv[3]);
            return 1;
        }
    }
    qsort(peaks, (size_t)runs, sizeof peaks[0], by_size);
    printf("%ld\n", peaks[runs / 2]);
    return 0;
}
