/*
 * top.c - one line for each process that has the library, the largest first.
 *
 * Which processes these are, their maps say by the library's name; one that was
 * linked with the archive is shown when it is named on the command line. What
 * cannot be read, or ends meanwhile, is left out.
 */
#define _GNU_SOURCE
#include "top.h"

#include "launch.h"
#include "verdict.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { processes_most = 1024, named_most = 64, interval = 2 /* seconds */ };

struct line {
    int process;
    char name[32];
    uint64_t causes[cause_count];
    uint64_t resident, faults;
    size_t threads;
    unsigned arenas;
};

struct screen {
    struct line lines[processes_most];
    size_t count;
    struct timespec when;
};

struct options {
    int named[named_most];
    size_t named_count;
    long rounds; /* 0: until interrupted */
};

static bool has_library(int process)
{
    char path[64], *text = NULL;
    size_t capacity = 0;
    bool has = false;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/maps", process);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (!has && getline(&text, &capacity, file) > 0)
        has = strstr(text, "/libptm") != NULL;
    free(text);
    fclose(file);
    return has;
}

/* Page faults that needed no disk, since the process began. */
static uint64_t faults_of(int process)
{
    char path[64], text[1024], *end;
    uint64_t faults = 0;
    FILE *file;
    size_t got;

    snprintf(path, sizeof path, "/proc/%d/stat", process);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = '\0';
    end = strrchr(text, ')');
    if (end == NULL ||
        sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %" SCNu64, &faults) != 1)
        return 0;
    return faults;
}

static bool look_at(struct line *line, int process)
{
    struct account account;
    struct memory memory;
    struct layout layout;
    bool is_done = false;

    if (memory_open_process(&memory, process) != NULL) {
        memory_close(&memory);
        return false;
    }
    if (layout_find(&layout, &memory) == NULL) {
        is_done = account_take(&account, &memory, &layout, NULL);
        *line = (struct line){.process = process,
                              .resident = account.resident,
                              .faults = faults_of(process),
                              .threads = account.thread_count};
        snprintf(line->name, sizeof line->name, "%s", memory.name);
        for (enum cause cause = 0; cause < cause_count; cause++)
            line->causes[cause] = cause_bytes(&account, cause);
        for (size_t i = 0; i < account.arena_count; i++)
            line->arenas += account.arenas[i].heaps > 0;
        account_free(&account);
    }
    memory_close(&memory);
    return is_done;
}

static void add_process(struct screen *screen, int process)
{
    if (screen->count < processes_most &&
        look_at(&screen->lines[screen->count], process))
        screen->count++;
}

static int by_size(const void *a, const void *b)
{
    uint64_t one = ((const struct line *)a)->resident;
    uint64_t other = ((const struct line *)b)->resident;

    return one > other ? -1 : one < other;
}

static void look(struct screen *screen, const struct options *options)
{
    struct dirent *entry;
    DIR *folder;

    screen->count = 0;
    clock_gettime(CLOCK_MONOTONIC, &screen->when);
    for (size_t i = 0; i < options->named_count; i++)
        add_process(screen, options->named[i]);
    folder = options->named_count == 0 ? opendir("/proc") : NULL;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]) &&
            has_library(atoi(entry->d_name)))
            add_process(screen, atoi(entry->d_name));
    if (folder != NULL)
        closedir(folder);
    qsort(screen->lines, screen->count, sizeof *screen->lines, by_size);
}

static const struct line *find_line(const struct screen *screen, int process)
{
    for (size_t i = 0; i < screen->count; i++)
        if (screen->lines[i].process == process)
            return &screen->lines[i];
    return NULL;
}

static double seconds_between(const struct screen *before,
                              const struct screen *now)
{
    return (double)(now->when.tv_sec - before->when.tv_sec) +
           (double)(now->when.tv_nsec - before->when.tv_nsec) / 1e9;
}

static void print_rates(const struct line *before, const struct line *now,
                        double seconds)
{
    int64_t change;

    if (before == NULL || seconds <= 0) {
        printf(" %10s %9s", "", "");
        return;
    }
    change = (int64_t)((double)((int64_t)now->causes[cause_live] -
                                (int64_t)before->causes[cause_live]) /
                       seconds);
    printf(" %c%9s %9.0f", change < 0 ? '-' : '+',
           in_words((uint64_t)llabs(change)),
           (double)(now->faults - before->faults) / seconds);
}

static void print_screen(const struct screen *before, const struct screen *now)
{
    static const enum cause shown[] = {cause_live, cause_caches, cause_pinned,
                                       cause_free, cause_foreign};

    printf("%8s %-15s %9s %9s %9s %9s %9s %9s %7s %7s %10s %9s\n", "PROCESS",
           "NAME", "RESIDENT", "LIVE", "CACHED", "PINNED", "FREE", "OTHER",
           "ARENAS", "THREADS", "LIVE/S", "FAULTS/S");
    for (size_t i = 0; i < now->count; i++) {
        const struct line *line = &now->lines[i];

        printf("%8d %-15.15s %9s", line->process, line->name,
               in_words(line->resident));
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
            printf(" %9s", in_words(line->causes[shown[k]]));
        printf(" %7u %7zu", line->arenas, line->threads);
        print_rates(find_line(before, line->process), line,
                    seconds_between(before, now));
        putchar('\n');
    }
    if (now->count == 0)
        puts("No process that can be read runs under ptm.");
    fflush(stdout);
}

static int number_of(const char *word, const char *what)
{
    char *end;
    long number = strtol(word, &end, 10);

    if (*end != '\0' || number <= 0 || number > 1 << 30)
        fail(exit_tool, "top: '%s' is not %s", word, what);
    return (int)number;
}

static void take_options(struct options *options, char **words)
{
    for (; *words != NULL; words++) {
        if (strcmp(*words, "-n") == 0 && words[1] != NULL)
            options->rounds = number_of(*++words, "a number of rounds");
        else if ((*words)[0] == '-')
            fail(exit_tool, "top: unknown option '%s'; see ptm --help", *words);
        else if (options->named_count < named_most)
            options->named[options->named_count++] =
                number_of(*words, "the number of a process");
    }
}

int top(char **words)
{
    static struct screen screens[2];
    struct options options = {0};
    bool is_terminal = isatty(STDOUT_FILENO);

    take_options(&options, words);
    for (long round = 0;; round++) {
        struct screen *now = &screens[round % 2];

        look(now, &options);
        if (is_terminal)
            fputs("\033[H\033[2J", stdout);
        print_screen(&screens[(round + 1) % 2], now);
        if (ferror(stdout) || round + 1 == options.rounds)
            return ferror(stdout) ? exit_tool : 0;
        sleep(interval);
    }
}
