/*
 * inspect.h - looking at the whole heap: counting it, and checking it.
 *
 * Both visit the arenas one at a time, each under its lock, so each arena is
 * seen in one piece and the sum over arenas is not of one moment. Nothing is
 * allocated. An arena abandoned in a fork is passed over.
 */
#ifndef PTM_INSPECT_H
#define PTM_INSPECT_H

#include "arena.h"
#include "base.h"

struct arena_stats {
    size_t system_bytes; /* committed */
    size_t max_system_bytes;
    size_t free_chunks; /* in bins, and top */
    size_t free_bytes;
    size_t top_bytes;
    size_t run_blocks; /* free objects of runs, and runs that have none */
    size_t run_bytes;
    size_t heaps;
    size_t address_bytes; /* reserved */
};

/* False when the arena is abandoned; the stats are zero then. */
bool arena_stats(struct arena *arena, struct arena_stats *stats);

void arena_stats_add(struct arena_stats *sum, const struct arena_stats *more);

/* Sizes of the free chunks in one bin. */
struct bin_stats {
    size_t least;
    size_t most;
    size_t bytes;
    size_t count;
};

/* The next bin with chunks at or behind *position; false after the last. The
 * lock of the arena is held. */
bool bin_stats_next(struct arena *arena, unsigned *position,
                    struct bin_stats *stats);

/* What is wrong, and where. */
struct damage {
    const char *what;
    const void *address;
    unsigned arena; /* 0: the direct mappings */
};

/* Checks every invariant that arena_state.h, chunks.h, bins.h, run.h, chunk.h,
 * heap.h, owner.h and mapped.h state. True when all hold; else *damage tells of
 * the first that does not. Trusts what it has checked and nothing else, so it
 * ends on a heap in any state. */
bool inspect_everything(struct damage *damage);

#endif
