/*
 * arena.h - one arena: a lock, bins, top, and the heaps they manage.
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
 * No two free chunks are neighbours: freeing merges with what lies on either
 * side. A heap that is one single free chunk goes back to the kernel, unless
 * it is the one that top is in.
 *
 * Small requests are served from runs (run.h) once there is some demand for
 * their size: chunks in use of 16 KiB, at multiples of 16 KiB, that the arena
 * has cut into objects. One that is empty becomes a spare, whose chunk is
 * CACHED, as are the blocks that wait for caches.
 *
 * The depot holds blocks for the caches of the arena's threads, and the inbox
 * receives those that other arenas' threads have freed. Both kinds are CACHED:
 * to their neighbours they are in use, until they are freed for good.
 *
 * All functions want the arena's lock held, but for those that say otherwise.
 * Sizes named `size` are chunk sizes (see size.h).
 */
#ifndef PTM_ARENA_H
#define PTM_ARENA_H

#include "base.h"
#include "bins.h"
#include "block.h"
#include "chunk.h"
#include "depot.h"
#include "heap.h"
#include "inbox.h"
#include "lock.h"
#include "run.h"

struct arena {
    struct lock lock;

    /* Fixed when the arena is made. */
    unsigned number; /* from 1; what the owner table says */
    unsigned flags;  /* CHUNK_NON_MAIN_ARENA, or 0 in the main arena */

    /* Guarded by `lock`. */
    struct chunk *top;  /* NULL before the first heap */
    struct heap *heaps; /* newest first; top is in the first */
    size_t heap_count;
    size_t system_bytes; /* committed, in all heaps */
    size_t max_system_bytes;
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

/* Makes an arena of zeroed memory with a lock in it. */
void arena_initialise(struct arena *arena, unsigned number, unsigned flags);

/* A chunk in use of at least `size` bytes, or NULL when the arena can get no
 * more from the kernel. */
struct chunk *_int_malloc(struct arena *arena, size_t size);

/* The same with mem at a multiple of `alignment`, a power of two above 16.
 * What lies before and behind goes back to the arena. */
struct chunk *_int_memalign(struct arena *arena, size_t alignment, size_t size);

/* Frees a chunk that chunk_verify has found sound. */
void _int_free(struct arena *arena, struct chunk *chunk);

/* Makes a chunk hold `size` bytes where it is: shrinks it, or takes in the
 * free chunk or the top behind it, of which it may get more: up to `wanted`
 * bytes in all. False when that is not possible: nothing has changed then. */
bool _int_resize(struct arena *arena, struct chunk *chunk, size_t size,
                 size_t wanted);

/* Ends the program unless `chunk` is one that this arena has in use, as far
 * as its own tag and its neighbours' can tell. `where` is the function the
 * program called. */
void chunk_verify(struct arena *arena, const struct chunk *chunk,
                  const char *where);

/* What chunk_verify checks without the lock: the chunk's own word. */
void chunk_verify_word(const struct arena *arena, const struct chunk *chunk,
                       const char *where);

/* Whether the header behind a chunk whose own word is verified looks sound,
 * seen without the lock: false may be due to a change going on there, and
 * chunk_verify will tell. While the chunk is in use that header stays where
 * it is, whatever becomes of what is behind it. */
bool chunk_next_looks_sound(const struct arena *arena,
                            const struct chunk *chunk);
/* The class that serves a request of up to RUN_OBJECT_MAX bytes here: of
 * chunks, or, once those are in demand, of objects. */
unsigned arena_class_for(struct arena *arena, size_t request);

/* Whether this class of runs is in use here. */
static inline bool arena_has_run_class(const struct arena *arena,
                                       unsigned run_class)
{
    return (arena->run_classes >> (run_class - CHUNK_CLASSES) & 1) != 0;
}

/* Gives objects of one class, which are not with the program, back to their
 * runs. */
void arena_free_objects(struct arena *arena, unsigned size_class,
                        void *const *mems, size_t count, const char *where);

/* One block of this class of chunks was lent, by other ways than arena_take. */
static inline void arena_note_demand(struct arena *arena, unsigned size_class)
{
    arena->lent[size_class]++;
}

/* Ends the program unless `mem`, in a run, is an object that is with the
 * program, as far as can be told without the lock. */
void object_verify(const struct arena *arena, const void *mem,
                   const char *where);

/* Ends the program if an object that is in a cache has lost its mark. */
void object_verify_cached(const struct arena *arena, const void *mem);

/* Takes up to `most` blocks of a class, CACHED: from the depot, else new ones.
 * zero_from speaks of the first. Returns how many; 0: nothing left, or, of
 * objects, no room for another run. */
size_t arena_take(struct arena *arena, unsigned size_class, void **mems,
                  size_t most);

/* Stores CACHED blocks of a class in the depot; what is too much there is
 * freed, up to SLOW_STEP blocks. */
void arena_give(struct arena *arena, unsigned size_class, void *const *mems,
                size_t count);

/* Stores what has come home by the inbox, `most` blocks or a few more. */
void arena_sort_arrivals(struct arena *arena, size_t most);

/* Parcels that were taken from the inbox and wait to be sorted; a hint to who
 * has no lock. */
static inline size_t arena_arrivals(const struct arena *arena)
{
    return __atomic_load_n(&arena->arrivals_count, __ATOMIC_RELAXED);
}

/* Frees up to `most` blocks of the depot; false when it had none. */
bool arena_free_depot(struct arena *arena, size_t most);

/* Gives back the pages inside free chunks, and of top all but `pad` bytes.
 * True when the kernel got any. */
bool arena_trim(struct arena *arena, size_t pad);

/* Usable bytes of the top chunk, 0 when there is none. */
static inline size_t arena_top_size(const struct arena *arena)
{
    return arena->top != NULL ? chunk_size(arena->top) : 0;
}

#endif
