#define _GNU_SOURCE
#include "run.h"

#include "launch.h"
#include "leaks.h"
#include "number.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

struct run_options {
    bool account, leaks;
    uint64_t mean;           /* of the profile for leaks */
    uint64_t check_interval; /* milliseconds; 0: none */
};

/* ---- options ------------------------------------------------------------ */

/* What stands behind NAME=, "" behind the bare name, or NULL: it is another. */
static const char *value_of(const char *word, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(word, name, length) != 0)
        return NULL;
    if (word[length] == '\0')
        return "";
    return word[length] == '=' ? word + length + 1 : NULL;
}

static uint64_t number_or(const char *value, const char *word,
                          uint64_t otherwise)
{
    uint64_t number = *value != '\0' ? bytes_in(value) : otherwise;

    if (number == 0)
        fail(exit_tool, "run: bad value in '%s'; see ptm --help", word);
    return number;
}

static char **take_options(struct run_options *options, char **words)
{
    for (; *words != NULL; words++) {
        const char *leaks = value_of(*words, "--leaks");
        const char *check = value_of(*words, "--check");

        if (strcmp(*words, "--account") == 0) {
            options->account = true;
        } else if (leaks != NULL) {
            options->leaks = true;
            options->mean = number_or(leaks, *words, 1);
        } else if (check != NULL) {
            options->check_interval = number_or(check, *words, 1000);
        } else {
            break;
        }
    }
    return skip_end_of_options("run", words);
}

/* ---- at its end --------------------------------------------------------- */

static uint64_t peak_of(int process)
{
    char path[64], line[256];
    uint64_t kilobytes = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", process);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "VmHWM: %" SCNu64, &kilobytes);
    if (file != NULL)
        fclose(file);
    return kilobytes * 1024;
}

static void print_account(const struct memory *memory,
                          const struct layout *layout)
{
    struct account account;

    if (!account_take(&account, memory, layout, NULL))
        fail(exit_tool, "out of memory");
    fprintf(stderr, "ptm: %s had %s at most; at its end ", memory->name,
            in_words(peak_of(memory->process)));
    print_verdict(stderr, &account);
    account_free(&account);
}

static void report(int process, const struct run_options *options)
{
    struct memory memory;
    struct layout layout;
    const char *wrong = memory_open_process(&memory, process);

    if (wrong != NULL) {
        fprintf(stderr, "ptm: nothing is known of its end: %s\n", wrong);
        return;
    }
    wrong = layout_find(&layout, &memory);
    if (wrong != NULL)
        fprintf(stderr, "ptm: %s: %s\n", memory.name, wrong);
    if (wrong == NULL && options->account)
        print_account(&memory, &layout);
    if (wrong == NULL && options->leaks)
        print_leaks(stderr, &memory, &layout, options->mean > 1);
    memory_close(&memory);
}

/* ---- beside it ---------------------------------------------------------- */

static pid_t watched;

static void pass_on(int signal)
{
    kill(watched, signal);
}

/* Those of the terminal reach the command by themselves. */
static void pass_signals_on(void)
{
    static const int passed[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        sigaction(passed[i], &action, NULL);
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
}

static bool is_job_control(int signal)
{
    return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN ||
           signal == SIGTTOU;
}

/* It has stopped: for its end, for a signal that it is to get, or because it
 * was told to stop, which it does until it is told to go on. */
static void let_go_on(int status, const struct run_options *options)
{
    int event = status >> 16, signal = WSTOPSIG(status);

    if (event == PTRACE_EVENT_EXIT)
        report(watched, options);
    if (event == PTRACE_EVENT_STOP && is_job_control(signal)) {
        ptrace(PTRACE_LISTEN, watched, NULL, NULL);
        return;
    }
    ptrace(PTRACE_CONT, watched, NULL, event == 0 ? (long)signal : 0L);
}

static int follow(const struct run_options *options)
{
    int status;

    for (;;) {
        pid_t one = waitpid(watched, &status, __WALL);

        if (one < 0 && errno == EINTR)
            continue;
        require(one == watched, "waitpid");
        if (!WIFSTOPPED(status))
            break;
        let_go_on(status, options);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The command begins when this process is ready for it. */
static void wait_for_go(const int ends[2])
{
    char go;

    close(ends[1]);
    while (read(ends[0], &go, 1) < 0 && errno == EINTR)
        ;
    close(ends[0]);
}

static void set_number(const char *variable, uint64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRIu64, number);
    require(setenv(variable, text, 1) == 0, "setenv");
}

static int run_watched(const struct command *command,
                       const struct run_options *options)
{
    int ends[2];

    require(pipe(ends) == 0, "pipe");
    watched = fork();
    require(watched >= 0, "fork");
    if (watched == 0) {
        wait_for_go(ends);
        if (options->leaks)
            set_number("PTM_RUN_LEAKS", (uint64_t)getpid());
        become(command);
    }
    pass_signals_on();
    if (ptrace(PTRACE_SEIZE, watched, NULL, PTRACE_O_TRACEEXIT) != 0)
        fprintf(stderr, "ptm: nothing will be said at its end: %s\n",
                strerror(errno));
    close(ends[0]);
    close(ends[1]);
    return follow(options);
}

int run(char **words)
{
    static struct command command;
    char library[PATH_MAX], watcher[PATH_MAX];
    struct run_options options = {0};

    words = take_options(&options, words);
    find_library(library);
    find_command(&command, words);
    if (options.leaks || options.check_interval > 0) {
        find_own_file(watcher, PTM_INSTALLED_WATCHER, "libptm-watch.so");
        preload(watcher);
    }
    if (options.check_interval > 0)
        set_number("PTM_RUN_CHECK", options.check_interval);
    if (options.leaks)
        set_number("PTM_RUN_MEAN", options.mean);
    preload(library);
    if (!options.account && !options.leaks)
        become(&command);
    return run_watched(&command, &options);
}
