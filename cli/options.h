/*
 * options.h - `ptm options`: which options are in force for a program.
 *
 * The library knows; so it is preloaded and asked to print them, here with the
 * tool itself as the program when no other is named.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

/* Takes the words after `options`; returns the tool's exit status. */
int options(char **words);

#endif
