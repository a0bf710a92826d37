/*
 * ptm.c - the tool beside the library: its subcommands and its help.
 *
 *   ptm run       runs the command with libptm.so preloaded
 *   ptm options   shows which options are in force, and where they come from
 *   ptm compare   runs the command under both mallocs and says what each cost;
 *                 or a trace under all
 *   ptm why       says what the memory of a process is for
 *   ptm map       draws it
 *   ptm profile   writes who has asked for it
 *   ptm top       shows all processes under ptm, again and again
 *   ptm record    runs the command and keeps what it allocated
 *   ptm replay    does that again
 */
#include "compare.h"
#include "launch.h"
#include "map.h"
#include "options.h"
#include "profile.h"
#include "record.h"
#include "replay.h"
#include "run.h"
#include "top.h"
#include "why.h"

#include <stdio.h>
#include <string.h>

#define VERSION "0.1.0"

static const struct subcommand {
    const char *name;
    int (*perform)(char **words);
    const char *help;
} subcommands[] = {
    {"run", run,
     "  ptm run [--account] [--leaks[=bytes]] [--check[=milliseconds]] [--]\n"
     "          command [argument...]\n"
     "      Runs the command with ptm as its malloc. Nothing else changes: it\n"
     "      keeps its terminal, its signals, its process and its exit status.\n"
     "      This is the one for servers and for programs you talk to. It says\n"
     "      on stderr, with --account, what the memory is for at the end; with\n"
     "      --leaks, what was not freed, by the stacks that it came from; of\n"
     "      one in so many bytes, or of all. Then the tool stays beside it.\n"
     "      With --check its heap is checked every second, or as often as you\n"
     "      say, and it is ended by the first damage.\n"},
    {"options", options,
     "  ptm options [[--] command [argument...]]\n"
     "      Shows the options that are in force, each with the place it comes\n"
     "      from: on stdout for this tool itself, which has no section in\n"
     "      /etc/ptm.conf; or on stderr for the command, which is then run.\n"},
    {"compare", compare,
     "  ptm compare [-n runs] [--] command [argument...]\n"
     "      Runs the command under the system malloc and under ptm in turn,\n"
     "      5 or -n times each, and prints on stderr the least of each: wall\n"
     "      time, user and system time, peak memory of its largest process,\n"
     "      page faults. The system malloc is measured twice; where its two\n"
     "      rows differ as much as ptm's does, the difference is noise.\n"
     "      The command reads nothing and must do the same work in every run.\n"
     "      You see the output of one more run, made first and not counted.\n"
     "      The first run that fails ends it all, with that run's status.\n"
     "  ptm compare [-n runs] trace\n"
     "      Replays the trace under the system malloc, ptm and the others\n"
     "      that are installed in turn, and prints on stdout of each the run\n"
     "      with the least CPU time: peak memory, and memory over the\n"
     "      events as a chart.\n"},
    {"why", why,
     "  ptm why [--json | --prometheus] [--watch] process\n"
     "  ptm why [--json | --prometheus] --core file\n"
     "      Says what the memory of a process under ptm is for, or was, by its\n"
     "      core file: a verdict in one line, then every resident kilobyte in\n"
     "      one row, then what to do. The process is read, not stopped. With\n"
     "      --watch: the verdict every two seconds, until interrupted.\n"},
    {"map", map,
     "  ptm map [--svg] process [-o file]\n"
     "  ptm map [--svg] --core file [-o file]\n"
     "      Draws the heaps page by page, as one file for a browser, with zoom\n"
     "      and every block's place and size; or as a picture for documents.\n"},
    {"profile", profile,
     "  ptm profile [--seconds n | --start | --stop] [--mean bytes] [-o file]\n"
     "              process\n"
     "      Writes for pprof who has asked for the memory of a process, which\n"
     "      of it is live, and what free memory that pins: to ptm.PID.pb, or\n"
     "      -o. One in 512k bytes is noted, or in --mean. With --seconds the\n"
     "      profile is started, if it is not on, and stopped again; --start\n"
     "      and --stop only do that.\n"},
    {"top", top,
     "  ptm top [-n rounds] [process...]\n"
     "      Shows these processes, or all that have the library, every two\n"
     "      seconds: what their memory is, how fast what is live grows, and\n"
     "      page faults.\n"},
    {"record", record,
     "  ptm record [-o trace] [--] command [argument...]\n"
     "      Runs the command under ptm and writes down what it allocates and\n"
     "      frees, sizes and order, not contents; to ptm.trace, or -o. What\n"
     "      it runs in its turn is not recorded.\n"},
    {"replay", replay,
     "  ptm replay trace\n"
     "      Does again what the trace says, under the malloc that the tool\n"
     "      itself runs with (ptm run ptm replay ...), and prints its CPU\n"
     "      time, and resident memory over the events.\n"},
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
