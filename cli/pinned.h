/*
 * pinned.h - the free memory that a process cannot give back because of a
 * sample (src/pins.h has the rule), of its heaps as they are read.
 */
#ifndef PINNED_H
#define PINNED_H

#include "notes.h"

/* Fills in what each sample pins. */
void find_pinned(struct notes *notes, const struct memory *memory,
                 const struct layout *layout);

#endif
