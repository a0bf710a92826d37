#define _GNU_SOURCE
#include "options.h"

#include "launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Behind what the user's list says, which is to be seen as it is. */
static void ask_for_print(void)
{
    const char *kept = getenv("PTM_OPTIONS");
    char *list = NULL;

    require(asprintf(&list, "%s%sprint_options", kept ? kept : "",
                     kept && *kept ? "," : "") > 0,
            "PTM_OPTIONS");
    require(setenv("PTM_OPTIONS", list, 1) == 0, "PTM_OPTIONS");
    free(list);
}

int options(char **words)
{
    static struct command command;
    static char *itself[] = {"ptm", "--version", NULL};
    char library[PATH_MAX];

    find_library(library);
    if (words[0] != NULL) {
        find_command(&command, skip_end_of_options("options", words));
    } else {
        command.words = itself;
        strcpy(command.path, "/proc/self/exe");
        require(dup2(STDOUT_FILENO, STDERR_FILENO) >= 0, "stdout");
        require(freopen("/dev/null", "w", stdout) != NULL, "/dev/null");
    }
    ask_for_print();
    preload(library);
    become(&command);
}
