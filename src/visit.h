/*
 * visit.h - the blocks that the program has: see ptm_visit and ptm_malloc_size
 * in <ptm.h>.
 *
 * A block is the program's when its chunk is in use and not CACHED, or its
 * object is not marked, and those that lie elsewhere when they say so; that
 * state may change under the visitor's eyes, as caches work without a lock.
 */
#ifndef PTM_VISIT_H
#define PTM_VISIT_H

#include "base.h"
#include "ptm.h"

/* Whether the program has a block there, and how many bytes it holds: of no
 * bytes, as malloc(0) gives, there are some. `mem` may be anything. */
bool visit_finds(const void *mem, size_t *size);

#endif
