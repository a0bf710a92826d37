/*
 * compare_trace.h - ptm compare of a trace: it is replayed under each malloc
 * that is on the machine.
 */
#ifndef COMPARE_TRACE_H
#define COMPARE_TRACE_H

#include <stdbool.h>

/* Whether the file begins like a trace that ptm record has kept. */
bool is_trace(const char *path);

/* Prints a row for each malloc; returns the tool's exit status. */
int compare_trace(const char *path, long rounds);

#endif
