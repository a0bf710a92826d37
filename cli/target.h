/*
 * target.h - the process, or the core file, that is looked at.
 *
 * Ends the tool with one line if that cannot be done.
 */
#ifndef TARGET_H
#define TARGET_H

#include "account.h"

/* Opens the memory that the words name: "PID", or "--core FILE". */
void open_target(struct memory *memory, const char *subcommand, char **words);

/* Finds the layout, takes the account. */
void examine(struct account *account, struct memory *memory,
             struct layout *layout, const struct account_watcher *watcher);

#endif
