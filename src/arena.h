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
 * side. When memory goes back to the kernel is for sweep.h to say.
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

#include "base.h"
#include "bins.h"
#include "block.h"
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
    size_t live_then;   /* live bytes when it ended */
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

/* Whether that would find nothing. */
bool chunk_looks_in_use(const struct arena *arena, const struct chunk *chunk);

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

/* Ends the program unless `mem`, in a run of that class, is an object that is
 * with the program, as far as can be told without the lock: what is none may
 * see its run go meanwhile, so the class is that which the caller has read. */
void object_verify(const struct arena *arena, unsigned size_class,
                   const void *mem, const char *where);

/* The page of this object, which is with the program, is busy: it is WATCHED no
 * longer, until a sweep finds it idle again. */
void arena_end_watch(struct arena *arena, const void *mem);

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

/* Ends the program unless the chunk is CACHED and in this arena's heaps; and
 * frees such a block for good. */
void arena_verify_cached(const struct arena *arena, const struct chunk *chunk);
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

/* Gives back of top all but `pad` bytes. Returns how many that were. */
size_t arena_trim_top(struct arena *arena, size_t pad);

/* A chunk that is in a bin is what its bin believes, or the program ends. */
void chunk_verify_free(const struct arena *arena, const struct chunk *chunk);

/* Whether a chunk in a bin is all that its heap has, and top is elsewhere. */
bool arena_has_empty_heap(const struct chunk *chunk);

/* Returns such a heap to the kernel; false when that is refused. */
bool arena_release_heap(struct arena *arena, struct chunk *chunk);

/* Takes every block away from the program, and all memory from the arena that
 * the kernel will take. */
void arena_empty(struct arena *arena);

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

/* Called now and then, so that the peaks of demand are known. */
static inline void arena_note_live(struct arena *arena)
{
    arena->sweeps.live_high =
        max_size(arena->sweeps.live_high, arena_live_bytes(arena));
}

#endif
