/*
 * ptm.c - the tool beside the library: its subcommands and its help.
 *
 *   ptm run       becomes the command, with libptm.so preloaded
 *   ptm compare   runs the command under both mallocs and says what each cost
 */
#include "compare.h"
#include "launch.h"

#include <stdio.h>
#include <string.h>

#define VERSION "0.1.0"

/* The command takes this process over, so its terminal, its signals and the
 * way it ends are its own, which is what servers and shells need. */
static int run(char **words)
{
    static struct command command;
    char library[PATH_MAX];

    words = skip_end_of_options("run", words);
    find_library(library);
    find_command(&command, words);
    preload(library);
    become(&command);
}

static const struct subcommand {
    const char *name;
    int (*perform)(char **words);
    const char *help;
} subcommands[] = {
    {"run", run,
     "  ptm run [--] command [argument...]\n"
     "      Runs the command with ptm as its malloc. Nothing else changes: it\n"
     "      keeps its terminal, its signals, its process and its exit status.\n"
     "      This is the one for servers and for programs you talk to.\n"},
    {"compare", compare,
     "  ptm compare [-n runs] [--] command [argument...]\n"
     "      Runs the command under the system malloc and under ptm in turn,\n"
     "      5 or -n times each, and prints on stderr the least of each: wall\n"
     "      time, user and system time, peak memory of its largest process,\n"
     "      page faults. The system malloc is measured twice; where its two\n"
     "      rows differ as much as ptm's does, the difference is noise.\n"
     "      The command reads nothing and must do the same work in every run.\n"
     "      You see the output of one more run, made first and not counted.\n"
     "      The first run that fails ends it all, with that run's status.\n"},
};

enum { subcommand_count = sizeof subcommands / sizeof *subcommands };

static int print_help(void)
{
    puts("ptm: a malloc for Linux. This tool runs programs under it.\n");
    for (int i = 0; i < subcommand_count; i++)
        puts(subcommands[i].help);
    puts("  ptm --help\n"
         "  ptm --version\n"
         "\n"
         "PTM_LIBRARY names the library to preload instead of the libptm.so\n"
         "beside this tool. What LD_PRELOAD holds already is kept, after it.\n"
         "Exit status: the command's (128 + signal if one killed it); 125 if\n"
         "ptm itself failed, 126 if the command cannot be run or preloading\n"
         "cannot reach it, 127 if it is not found.");
    return 0;
}

static bool asks_for_help(const char *word)
{
    return word != NULL &&
           (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0);
}

int main(int count, char **words)
{
    if (count < 2)
        fail(exit_tool, "no subcommand; see ptm --help");
    if (asks_for_help(words[1]) || asks_for_help(words[2]))
        return print_help();
    if (strcmp(words[1], "--version") == 0)
        return puts("ptm " VERSION) < 0;
    for (int i = 0; i < subcommand_count; i++)
        if (strcmp(words[1], subcommands[i].name) == 0)
            return subcommands[i].perform(words + 2);
    fail(exit_tool, "unknown subcommand '%s'; see ptm --help", words[1]);
}
