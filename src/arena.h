/*
 * arena.h - one arena as those see it who want blocks: chunks, runs, depot.
 *
 * arena_state.h has the picture of heaps, bins and top.
 *
 * Small requests are served from runs (run.h) once there is some demand for
 * their size. These lie in spans: chunks of one to 64 pages of 16 KiB, at
 * multiples of that, CACHED as are the blocks that wait for caches. An arena
 * with many runs has large spans.
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

#include "arena_state.h"
#include "chunks.h"
#include "proof.h"
#include "tags.h"

/* Makes an arena of zeroed memory with a lock in it. */
void arena_initialise(struct arena *arena, unsigned number, unsigned flags);

/* A chunk in use of at least `size` bytes, or NULL when the arena can get no
 * more from the kernel. */
struct chunk *_int_malloc(struct arena *arena, size_t size);

/* The same with mem at a multiple of `alignment`, a power of two above 16.
 * What lies before and behind goes back to the arena. */
struct chunk *_int_memalign(struct arena *arena, size_t alignment, size_t size);

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

/* From now on the caches of all common arenas' threads take its blocks. */
void arena_make_common(struct arena *arena);

static inline bool arena_is_common(const struct arena *arena)
{
    return tags_owner(arena->number) == TAG_COMMON;
}

/* The page of this object, which is with the program, is busy: it is WATCHED no
 * longer, until a sweep finds it idle again. */
void arena_end_watch(struct arena *arena, const void *mem);

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

/* The parcel that will be sorted next, or NULL: who has a use for some of its
 * blocks may take these out. */
struct parcel *arena_first_arrival(struct arena *arena);

/* Parcels that were taken from the inbox and wait to be sorted; a hint to who
 * has no lock. */
static inline size_t arena_arrivals(const struct arena *arena)
{
    return __atomic_load_n(&arena->arrivals_count, __ATOMIC_RELAXED);
}

/* Frees the blocks of a parcel from this entry on for good, past the depot, the
 * last first and up to SLOW_STEP of them; true when there are more. */
bool arena_free_parcel(struct arena *arena, struct parcel *parcel, size_t from);

/* Frees a CACHED chunk for good. */
void arena_free_cached(struct arena *arena, void *mem);

/* Frees up to `most` blocks of the depot; false when it had none. */
bool arena_free_depot(struct arena *arena, size_t most);

/* Frees what has lain in the depot unused since this was last done: up to
 * SLOW_STEP blocks of it. True when there is more of it. */
bool arena_shed_depot(struct arena *arena);

/* Whether that would find anything, now or later; needs no lock. */
static inline bool arena_may_shed_depot(const struct arena *arena)
{
    return depot_has_any(&arena->depot) || inbox_has_any(&arena->inbox) ||
           arena_arrivals(arena) > 0;
}

/* Frees all spans that are empty. */
void arena_free_empty_spans(struct arena *arena);

/* Takes every block away from the program, and all memory from the arena that
 * the kernel will take. */
void arena_empty(struct arena *arena);

/* Called now and then, so that the peaks of demand are known. */
static inline void arena_note_live(struct arena *arena)
{
    arena->sweeps.live_high =
        max_size(arena->sweeps.live_high, arena_live_bytes(arena));
}

#endif
