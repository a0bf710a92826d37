/*
 * all.c - ptm as one translation unit, and its table of contents.
 *
 * Floors from the ground up. A file includes only what stands above it in
 * this list; tools/check-floors holds every file to that.
 */

/* floor 0: ground */
#include "os_linux.c"
#include "fatal.c"
#include "lock.c"
#include "options.c"

/* floor 1: shape (also size.h, class.h, chunk.h) */
#include "seal.c"
#include "owner.c"

/* floor 2: indexes */
#include "bins.c"
#include "run.c"

/* floor 3: memory */
#include "heap.c"
#include "recent.c"
#include "mapped.c"

/* floor 4: arenas (also block.h, inbox.h) */
#include "parcel.c"
#include "depot.c"
#include "arena.c"
#include "arenas.c"

/* floor 5: caches */
#include "tcache.c"

/* floor 6: verbs */
#include "life.c"
#include "alloc.c"
#include "purge.c"
#include "inspect.c"

/* floor 7: faces */
#include "hooks.c"
#include "libc.c"
#include "libc_info.c"
