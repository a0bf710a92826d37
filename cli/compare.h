/*
 * compare.h - `ptm compare`: one command under both mallocs, side by side.
 */
#ifndef COMPARE_H
#define COMPARE_H

/* Takes the words after `compare`; returns the tool's exit status. */
int compare(char **words);

#endif
