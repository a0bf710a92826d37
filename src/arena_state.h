/*
 * arena_state.h - what an arena consists of: a lock, bins, top, and heaps.
 *
 *     arena --> heaps --> | header | chunk | chunk | free | chunk |  top  |
 *       |                     |________________________ |           |
 *       |                 | header | chunk | free | chunk ... | fence |   |
 *       |-- bins ------------------------------^---^                      |
 *       '-- top ----------------------------------------------------------'
 *
 * A heap is a sequence of chunks without gaps. In the newest one the last
 * chunk is `top`: free, in no bin, without a footer, carved when no bin
 * serves, and grown as its heap grows. When its heap is full, a new heap is
 * added; the old top becomes an ordinary free chunk, and behind it a `fence`
 * of one or two headers closes the heap: in use for ever, so that no merge
 * runs off the end.
 *
 * Its functions stand in floors of their own: proof.h says what a block must
 * prove before it is believed, chunks.h takes chunks and merges them, sweep.h
 * gives memory back to the kernel, and arena.h has the rest.
 */
#ifndef PTM_ARENA_STATE_H
#define PTM_ARENA_STATE_H

#include "base.h"
#include "bins.h"
#include "chunk.h"
#include "depot.h"
#include "heap.h"
#include "inbox.h"
#include "lock.h"
#include "run.h"

/* How far it has got who goes through the free chunks: see sweep.h. */
struct sweep {
    bool is_under_way;
    bool has_left_some; /* too recent, or a heap that the kernel still has */
    struct heap *heap;
    size_t page;  /* of the heap: those of runs before it are done */
    size_t place; /* in the heap: the chunks that begin before it are done */
};

enum sweep_kind {
    SWEEP_OLD,    /* what was freed a while ago */
    SWEEP_EXCESS, /* everything, as there is too much of it */
    SWEEP_ALL,    /* everything, as somebody has asked for it */
    SWEEP_KINDS,
};

struct sweeps {
    struct sweep of[SWEEP_KINDS];
    size_t freed;       /* bytes that ever were; read without the lock */
    size_t freed_seen;  /* the same when the last SWEEP_OLD began */
    size_t live_high;   /* most live bytes since the last SWEEP_EXCESS */
    size_t live_then;   /* least of them while it was made */
    size_t live_most;   /* live_high of all times before */
    size_t returned;    /* bytes it gave back, with those shortly before it */
    uint64_t time;      /* when it ended, in milliseconds */
    size_t excess_from; /* the live_high from which ... */
    uint64_t excess_since; /* ... there is too much since this time */
    size_t allowance;      /* bytes that were wanted back too soon */
    unsigned count;        /* of SWEEP_OLDs */
    size_t live_seen;      /* live bytes when a purge came by; under its lock */
};

struct arena {
    struct lock lock;

    /* Fixed when the arena is made. */
    unsigned number; /* from 1; what the owner table says */
    unsigned flags;  /* CHUNK_NON_MAIN_ARENA, or 0 in the main arena */
    bool is_private; /* made for the program: see user_arena.h */
    uint32_t lives;  /* how often the program has destroyed it; atomic */

    /* Guarded by `lock`. */
    struct chunk *top;  /* NULL before the first heap */
    struct heap *heaps; /* newest first; top is in the first */
    size_t heap_count;
    size_t system_bytes; /* committed, in all heaps */
    size_t max_system_bytes;
    size_t limit; /* most system_bytes; 0: none */
    /* The last victim is zero from here on; NULL when nothing is known. */
    const char *zero_from;
    struct bins bins;
    struct depot depot;
    struct run_set runs;
    uint64_t run_classes; /* a bit for each class of runs that is in use */
    /* Chunks of the classes that serve small requests, with caches or with the
     * program. */
    size_t lent[SMALL_CLASSES + 1];
    struct parcel *arrivals; /* taken from the inbox, not yet sorted */
    size_t arrivals_count;   /* of parcels; read without the lock as a hint */
    struct sweeps sweeps;

    /* Pushed to without the lock. */
    struct inbox inbox;

    /* Guarded by the lock of the set: see arenas.h. */
    unsigned attached;
    bool is_on_free_list;
    struct arena *next_free;

    /* In a child whose parent lost its holder in mid-change: never touched
     * again. Set once, before the child has a second thread. */
    bool is_abandoned;
};

/* Usable bytes of the top chunk, 0 when there is none. */
static inline size_t arena_top_size(const struct arena *arena)
{
    return arena->top != NULL ? chunk_size(arena->top) : 0;
}

/* Bytes that are with the program or in caches. */
static inline size_t arena_live_bytes(const struct arena *arena)
{
    size_t in_runs = arena->runs.free_bytes + arena->runs.spares * RUN_SIZE;
    return arena->system_bytes - arena->bins.bytes - arena_top_size(arena) -
           in_runs;
}

#endif
