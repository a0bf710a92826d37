/*
 * target.c - from the words of the user to a process or a core file, and to its
 * account.
 */
#define _GNU_SOURCE
#include "target.h"

#include "launch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void open_target(struct memory *memory, const char *subcommand, char **words)
{
    const char *wrong;
    char *end = NULL;
    long process;

    if (words[0] == NULL)
        fail(exit_tool, "%s: no process; see ptm --help", subcommand);
    if (strcmp(words[0], "--core") == 0) {
        if (words[1] == NULL || words[2] != NULL)
            fail(exit_tool, "%s: --core takes one file; see ptm --help",
                 subcommand);
        wrong = memory_open_core_file(memory, words[1]);
        if (wrong != NULL)
            fail(exit_tool, "%s: %s", words[1], wrong);
        return;
    }
    if (words[1] != NULL)
        fail(exit_tool, "%s: one process at a time; see ptm --help",
             subcommand);
    errno = 0;
    process = strtol(words[0], &end, 10);
    if (errno != 0 || *end != '\0' || process <= 0 || process > 1 << 30)
        fail(exit_tool, "%s: '%s' is not the number of a process", subcommand,
             words[0]);
    wrong = memory_open_process(memory, (int)process);
    if (wrong != NULL)
        fail(exit_tool, "process %ld: %s", process, wrong);
}

void examine(struct account *account, struct memory *memory,
             struct layout *layout, const struct account_watcher *watcher)
{
    const char *wrong = layout_find(layout, memory);

    if (wrong != NULL && memory->process != 0)
        fail(exit_tool, "process %d (%s): %s", memory->process, memory->name,
             wrong);
    if (wrong != NULL)
        fail(exit_tool, "%s: %s", memory->name, wrong);
    if (!account_take(account, memory, layout, watcher))
        fail(exit_tool, "out of memory");
}
