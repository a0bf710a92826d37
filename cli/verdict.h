/*
 * verdict.h - the rows of an account by their names, what causes they are
 * summed up to, and the verdict: what most of the memory is for, in one line.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "account.h"

#include <stdio.h>

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

/* Not below 0, as a difference between two looks may be. */
uint64_t row_bytes(const struct account *account, enum row row);

uint64_t cause_bytes(const struct account *account, enum cause cause);
enum cause account_cause(const struct account *account);

/* What is pinned is more by blocks in runs than by those with headers. */
bool is_pinned_in_runs(const struct account *account);

/* All parts of a hundredth or more, the largest first. */
void print_verdict(FILE *to, const struct account *account);

/* A number of bytes as "1.3 MiB", in one of eight buffers that take turns. */
const char *in_words(uint64_t bytes);

#endif
