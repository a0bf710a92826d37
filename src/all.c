/*
 * all.c - ptm as one translation unit, and its table of contents.
 *
 * Floors from the ground up. A file includes only what stands above it in
 * this list; tools/check-floors holds every file to that.
 */

/* floor 0: ground (also describe.h, patience.h, probes.h) */
#include "os_linux.c"
#include "os_cgroup.c"
#include "fatal.c"
#include "lock.c"
#include "bell.c"
#include "stack.c"
#include "options.c"
#include "settings.c"

/* floor 1: shape (also size.h, class.h, chunk.h, kind.h) */
#include "seal.c"
#include "draw.c"
#include "owner.c"
#include "tags.c"

/* floor 2: indexes */
#include "bins.c"
#include "run.c"
#include "pages.c"

/* floor 3: memory */
#include "closed.c"
#include "zero.c"
#include "guard.c"
#include "limit.c"
#include "heap.c"
#include "huge.c"
#include "recent.c"
#include "walled.c"
#include "mapped.c"

/* floor 4: arenas (also ahead.h, arena_state.h, block.h, inbox.h) */
#include "parcel.c"
#include "depot.c"
#include "proof.c"
#include "chunks.c"
#include "arena.c"
#include "sweep.c"
#include "arenas.c"

/* floor 5: caches */
#include "caches.c"
#include "tcache_limits.c"
#include "tcache.c"
#include "sleepers.c"
#include "quarantine.c"

/* floor 6: verbs */
#include "harden.c"
#include "purge.c"
#include "helper.c"
#include "sampler.c"
#include "profile.c"
#include "life.c"
#include "alloc.c"
#include "inspect.c"
#include "introspection.c"

/* floor 7: faces */
#include "hooks.c"
#include "libc.c"
#include "libc_info.c"
#include "stats_json.c"
#include "threads.c"
#include "user_arena.c"
#include "visit.c"
#include "pins.c"
#include "names.c"
#include "pprof.c"
#include "profiling.c"
#include "control.c"

/* In libptm.a the C++ operators are a member of their own,
 * static/cxx_member.c, and what needs a dynamic linker is not there. */
#ifndef PTM_ARCHIVE
#include "debug.c"
#include "deepbind.c"
#include "cxx_library.c"

#include "cxx.c"
#include "cxx_nothrow.c"
#endif
