/*
 * launch.h - what running a program under ptm takes: finding the library and
 * the command, and putting the one before the other.
 *
 * The tool never guesses. When the dynamic linker would quietly leave the
 * library out (a static program, one that changes its user, one of another
 * architecture), find_command() says so and ends the tool, rather than let the
 * system malloc run under ptm's name.
 *
 * Failures end the tool with one line on stderr and the statuses of env(1).
 */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <limits.h>
#include <stdbool.h>

enum {
    exit_tool = 125, /* the tool itself failed */
    exit_not_runnable = 126,
    exit_not_found = 127
};

__attribute__((format(printf, 2, 3))) _Noreturn void
fail(int status, const char *format, ...);

/* Fails with errno's text if a system call did. */
void require(bool success, const char *call);

struct command {
    char **words; /* as the user wrote them, ended by NULL */
    char path[PATH_MAX];
};

/* What is left once a subcommand has taken its own options: the command. */
char **skip_end_of_options(const char *subcommand, char **words);

/* PTM_LIBRARY, or the library that was installed with the tool, or, in a build
 * folder, the libptm.so beside it; always an absolute path,
 * because the command may change its directory and then run others. */
void find_library(char library[PATH_MAX]);

/* The path of a file that comes with the tool: where it was installed, seen
 * from the tool's folder, or, in a build folder, beside the tool. */
void find_own_file(char path[PATH_MAX], const char *installed,
                   const char *name);

void find_command(struct command *command, char **words);

/* Puts the library first in this process's LD_PRELOAD, for exec to pass on. */
void preload(const char *library);

_Noreturn void become(const struct command *command);

#endif
