/*
 * compare.h - `ptm compare`: one command under both mallocs, side by side; or
 * a trace under all of them (compare_trace.h).
 */
#ifndef COMPARE_H
#define COMPARE_H

/* Takes the words after `compare`; returns the tool's exit status. */
int compare(char **words);

#endif
