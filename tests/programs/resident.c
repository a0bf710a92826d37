/*
 * resident RUNS LIBRARY PROGRAM ARGUMENT...
 *
 * Runs PROGRAM that many times, with LIBRARY preloaded unless that is empty,
 * and prints, in KB, what is resident when it ends, and how much of that is
 * its own: the medians.
 *
 * The kernel stops the program for us just before its memory goes, and counts
 * page by page. The peak that it reports of a process that has ended is off by
 * up to 64 KB for each CPU and more: it is a sum that each CPU adds to now and
 * then.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_RUNS 1001

struct figures {
    long resident[MOST_RUNS];
    long own[MOST_RUNS];
};

static int by_size(const void *left, const void *right)
{
    const long *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* The counts of a process that is stopped. */
static bool read_counts(pid_t process, long *resident, long *own)
{
    char path[64], line[256];
    int found = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)process);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL)
        found += sscanf(line, "Rss: %ld", resident) == 1 ||
                 sscanf(line, "Anonymous: %ld", own) == 1;
    fclose(file);
    return found == 2;
}

static pid_t start(char **command, const char *library)
{
    pid_t child = fork();
    if (child == 0) {
        if (library[0] != '\0')
            setenv("LD_PRELOAD", library, 1);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && raise(SIGSTOP) == 0)
            execv(command[0], command);
        _exit(127);
    }
    return child;
}

static bool is_about_to_end(int status)
{
    return status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8);
}

/* False if the program failed, or was not seen to end. */
static bool run(char **command, const char *library, long *resident, long *own)
{
    const long options = PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL;
    bool was_seen = false;
    int status;
    pid_t child = start(command, library);
    if (child < 0 || waitpid(child, &status, 0) != child ||
        !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, child, NULL, options) != 0)
        return false;
    while (WIFSTOPPED(status)) {
        if (is_about_to_end(status))
            was_seen = read_counts(child, resident, own);
        /* Its first stop and the one after execv are for us. */
        int given = WSTOPSIG(status);
        if (given == SIGSTOP || given == SIGTRAP)
            given = 0;
        if (ptrace(PTRACE_CONT, child, NULL, (long)given) != 0 ||
            waitpid(child, &status, 0) != child)
            return false;
    }
    return was_seen && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static long median(long *values, int count)
{
    qsort(values, (size_t)count, sizeof values[0], by_size);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    static struct figures figures;
    int runs = argc > 3 ? atoi(argv[1]) : 0;
    if (runs < 1 || runs > MOST_RUNS) {
        fprintf(stderr, "usage: resident RUNS LIBRARY PROGRAM ARGUMENT...\n");
        return 2;
    }
    for (int i = 0; i < runs; i++) {
        if (!run(argv + 3, argv[2], &figures.resident[i], &figures.own[i])) {
            fprintf(stderr, "resident: %s failed\n", argv[3]);
            return 1;
        }
    }
    printf("%ld %ld\n", median(figures.resident, runs),
           median(figures.own, runs));
    return 0;
}
