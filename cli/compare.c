/*
 * compare.c - runs a command under the system malloc and under ptm and prints
 * what it cost.
 *
 * Each round has three runs: the system malloc, the system malloc again, ptm.
 * Two equal rows show the reader how much is noise. The rounds interleave the
 * rows, so that a machine that turns slow is slow for all of them, and each
 * round starts one row further, so that no row always follows the same one.
 * Noise only ever adds: of each row and column the least is kept.
 *
 * The command's output is shown once, by a run of its own before the rounds.
 */
#define _GNU_SOURCE
#include "compare.h"

#include "compare_trace.h"
#include "launch.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum row { row_system, row_control, row_ptm, rows };
enum cost { cost_wall, cost_cpu, cost_memory, cost_faults, costs };

static const char *const row_names[rows] = {"system", "system again", "ptm"};

static const struct {
    const char *title;
    int decimals;
} columns[costs] = {
    {"wall s", 3}, {"cpu s", 3}, {"peak MiB", 1}, {"page faults", 0}};

struct comparison {
    struct command command;
    char library[PATH_MAX];
    long rounds;
    int input;
    int output; /* of counted runs: a pipe into the sink */
    int errors; /* of the counted run at hand: a file in memory */
    double least[rows][costs];
};

/*
 * Starts a process that reads and forgets, and returns the pipe to it. Not
 * /dev/null: programs that find it as their output, grep and tar among them,
 * do less work.
 */
static int open_sink(void)
{
    static char forgotten[65536];
    int ends[2];
    pid_t sink;

    require(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    sink = fork();
    require(sink >= 0, "fork");
    if (sink == 0) {
        close(ends[1]);
        close(STDOUT_FILENO); /* Whoever reads the tool must see its end. */
        close(STDERR_FILENO);
        while (read(ends[0], forgotten, sizeof forgotten) > 0)
            continue;
        _exit(0);
    }
    close(ends[0]);
    return ends[1];
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/*
 * Runs the command once, under ptm if `library` is not NULL, and returns how
 * it ended. By fork and not vfork: exec counts the memory that it replaces
 * into the child's peak, and the fork of a small tool has least of it.
 */
static int measure(const struct command *command, const char *library,
                   const int streams[3], double spent[costs])
{
    struct rusage usage;
    double start = now();
    int ending;
    pid_t child = fork();

    require(child >= 0, "fork");
    if (child == 0) {
        for (int i = 0; i < 3; i++)
            require(dup2(streams[i], i) == i, "dup2");
        if (library != NULL)
            preload(library);
        become(command);
    }
    require(wait4(child, &ending, 0, &usage) == child, "wait4");
    spent[cost_wall] = now() - start;
    spent[cost_cpu] = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    spent[cost_memory] = (double)usage.ru_maxrss / 1024;
    spent[cost_faults] = (double)(usage.ru_minflt + usage.ru_majflt);
    return ending;
}

/* A failed run compares nothing: the tool ends as the command did. */
static void stop_if_failed(int ending, const char *which)
{
    if (WIFSIGNALED(ending))
        fail(128 + WTERMSIG(ending), "%s failed: killed by signal %d (%s)",
             which, WTERMSIG(ending), strsignal(WTERMSIG(ending)));
    if (WEXITSTATUS(ending) != 0)
        fail(WEXITSTATUS(ending), "%s failed: exit status %d", which,
             WEXITSTATUS(ending));
}

/* The run whose output the user sees. It is not counted: it also fills the
 * page cache, and a terminal costs time of its own. */
static void show_command(const struct comparison *comparison)
{
    const int streams[3] = {comparison->input, STDOUT_FILENO, STDERR_FILENO};
    double spent[costs];

    stop_if_failed(measure(&comparison->command, NULL, streams, spent),
                   "the first run, under the system malloc,");
}

/* One line that the next one replaces, for who watches a terminal. */
static void show_progress(const char *text)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s\033[K", text);
}

static void forget_errors(int errors)
{
    require(ftruncate(errors, 0) == 0, "ftruncate");
    require(lseek(errors, 0, SEEK_SET) == 0, "lseek");
}

static void repeat_errors(int errors)
{
    char part[4096];
    ssize_t length;

    for (off_t place = 0;
         (length = pread(errors, part, sizeof part, place)) > 0;
         place += length)
        fwrite(part, 1, (size_t)length, stderr);
}

static void count_run(struct comparison *comparison, long round, enum row row)
{
    const int streams[3] = {comparison->input, comparison->output,
                            comparison->errors};
    const char *library = row == row_ptm ? comparison->library : NULL;
    double *least = comparison->least[row];
    double spent[costs];
    char which[80];
    int ending;

    snprintf(which, sizeof which, "run %ld of %ld under %s", round + 1,
             comparison->rounds, library ? "ptm" : "the system malloc");
    show_progress(which);
    forget_errors(comparison->errors);
    ending = measure(&comparison->command, library, streams, spent);
    show_progress("");
    if (ending != 0)
        repeat_errors(comparison->errors);
    stop_if_failed(ending, which);
    for (int i = 0; i < costs; i++)
        if (round == 0 || spent[i] < least[i])
            least[i] = spent[i];
}

static void print_costs(const char *name, const double spent[costs])
{
    fprintf(stderr, "%-21s", name);
    for (int i = 0; i < costs; i++)
        fprintf(stderr, "%13.*f", columns[i].decimals, spent[i]);
    fputc('\n', stderr);
}

/* A short command's CPU time is 0 where the kernel counts it in ticks. */
static void print_ratios(const char *name, const double over[costs],
                         const double under[costs])
{
    fprintf(stderr, "%-21s", name);
    for (int i = 0; i < costs; i++)
        if (under[i] > 0)
            fprintf(stderr, "%13.2f", over[i] / under[i]);
        else
            fprintf(stderr, "%13s", "-");
    fputc('\n', stderr);
}

/* On stderr, as time(1) does: stdout is the command's. */
static void print_table(const struct comparison *comparison)
{
    const double(*least)[costs] = comparison->least;
    char title[32];

    snprintf(title, sizeof title, "least of %ld", comparison->rounds);
    fprintf(stderr, "%-21s", title);
    for (int i = 0; i < costs; i++)
        fprintf(stderr, "%13s", columns[i].title);
    fputc('\n', stderr);
    for (int row = 0; row < rows; row++)
        print_costs(row_names[row], least[row]);
    print_ratios("ptm / system", least[row_ptm], least[row_system]);
    print_ratios("noise: again / system", least[row_control],
                 least[row_system]);
}

static long read_rounds(const char *text)
{
    char *end;
    long rounds = text ? strtol(text, &end, 10) : 0;

    if (rounds < 1 || rounds > 1000 || *end != '\0')
        fail(exit_tool, "compare: -n takes a number from 1 to 1000, not '%s'",
             text ? text : "");
    return rounds;
}

static char **read_options(struct comparison *comparison, char **words)
{
    comparison->rounds = 5;
    while (words[0] != NULL && strcmp(words[0], "-n") == 0) {
        comparison->rounds = read_rounds(words[1]);
        words += 2;
    }
    return skip_end_of_options("compare", words);
}

static void open_streams(struct comparison *comparison)
{
    comparison->input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    require(comparison->input >= 0, "/dev/null");
    comparison->errors = memfd_create("ptm-errors", MFD_CLOEXEC);
    require(comparison->errors >= 0, "memfd_create");
    comparison->output = open_sink();
}

int compare(char **words)
{
    static struct comparison comparison;

    words = read_options(&comparison, words);
    if (words[1] == NULL && is_trace(words[0]))
        return compare_trace(words[0], comparison.rounds);
    find_library(comparison.library);
    find_command(&comparison.command, words);
    open_streams(&comparison);
    signal(SIGCHLD, SIG_DFL); /* Ignored, it would leave nothing to wait for. */

    show_command(&comparison);
    for (long round = 0; round < comparison.rounds; round++)
        for (int place = 0; place < rows; place++)
            count_run(&comparison, round, (round + place) % rows);
    print_table(&comparison);
    return 0;
}
