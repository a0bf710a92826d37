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

#include "ptm.h"

#endif
