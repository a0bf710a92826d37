/*
 * figures.h - the account for programs, on standard output.
 */
#ifndef FIGURES_H
#define FIGURES_H

#include "account.h"

/* One object in one line. */
void print_json(const struct account *account, const struct memory *memory);

/* The six names that exporters of mallocs use. */
void print_prometheus(const struct account *account,
                      const struct memory *memory);

#endif
