/*
 * why.h - ptm why: what the memory of a process is for, in words.
 */
#ifndef WHY_H
#define WHY_H

#include "account.h"

int why(char **words);

/* What is most of it, apart from what any program has. */
enum cause {
    cause_live,
    cause_caches,
    cause_pinned,
    cause_free,
    cause_metadata,
    cause_foreign,
    cause_count
};

extern const char *const cause_names[cause_count];
extern const char *const row_names[row_count]; /* for people */
extern const char *const row_keys[row_count];  /* for programs */

uint64_t cause_bytes(const struct account *account, enum cause cause);
enum cause account_cause(const struct account *account);

/* Opens the memory, finds the layout, takes the account; ends the tool with one
 * line if that cannot be done. */
void examine(struct account *account, struct memory *memory,
             struct layout *layout, const struct account_watcher *watcher);

/* The process or core file that the words name: "PID", or "--core FILE". */
void open_target(struct memory *memory, const char *subcommand, char **words);

/* A number of bytes as "1.3 MiB", in one of eight buffers that take turns. */
const char *in_words(uint64_t bytes);

#endif
