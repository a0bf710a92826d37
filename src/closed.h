/*
 * closed.h - address space that nobody may touch, where no heap can be.
 *
 *     multiple of 64 MiB
 *     | blocks of no bytes | guarded blocks |
 *
 * The owner table speaks of 64 MiB at a time, and a slow free reads the header
 * of what lies in those of a heap. A heap that reserved less shares them with
 * other mappings; so closed memory must not lie there. A heap begins at a
 * multiple of 64 MiB, and so does this region: where the one is, the other is
 * not.
 */
#ifndef PTM_CLOSED_H
#define PTM_CLOSED_H

#include "base.h"

/* The region of CLOSED_REGION bytes, made when it is first asked for; NULL when
 * it was refused once. */
char *closed_region(void);

#endif
