/*
 * leaks.h - what a process that is about to end has not freed, by the stacks of
 * the calls that it came from: those of its profile (notes.h).
 */
#ifndef LEAKS_H
#define LEAKS_H

#include "account.h"

#include <stdio.h>

/* `is_estimate`: the profile has not looked at all that was allocated. */
void print_leaks(FILE *to, const struct memory *memory, struct layout *layout,
                 bool is_estimate);

#endif
