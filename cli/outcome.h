/*
 * outcome.h - what came of one replay of a trace, as rows of a table and as
 * numbers for the parent that has asked for it.
 */
#ifndef OUTCOME_H
#define OUTCOME_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { outcome_samples = 48 }; /* of resident memory, over the events */

struct outcome {
    uint64_t microseconds, peak_resident, end_resident;
    uint64_t peak_live, failed;
    uint64_t resident[outcome_samples];
    unsigned sample_count;
};

/* A row; `most` is the resident memory that its chart has room for. */
void outcome_print_heading(const struct outcome *outcome);
void outcome_print(const char *name, const struct outcome *outcome,
                   uint64_t most);

/* On stdout, and from there. False: these are not such numbers. */
void outcome_write(const struct outcome *outcome);
bool outcome_read(FILE *file, struct outcome *outcome);

#endif
