/*
 * own_arena.h - an arena that belongs to the test, and the walk over it.
 *
 * It is in no table of arenas, so nothing else in the program uses it. Each
 * function takes its lock, as arena.h asks. The walk is the one of ptm_check:
 * check_arena is private to inspect.c, which is therefore a part of the file
 * that includes this one.
 */
#ifndef OWN_ARENA_H
#define OWN_ARENA_H

#include "../../src/inspect.c"

#include "unit.h"

#include "options.h"
#include "sweep.h"

enum {
    OWN_NUMBER = 200,
};

static struct arena own;

static inline int own_begin(void **state)
{
    (void)state;
    memset(&own, 0, sizeof own);
    seal_prepare();
    lock_initialise(&own.lock, LOCK_RANK_ARENA);
    arena_initialise(&own, OWN_NUMBER, CHUNK_NON_MAIN_ARENA);
    return 0;
}

static inline int own_end(void **state)
{
    (void)state;
    while (own.heaps != NULL) {
        struct heap *next = own.heaps->next;
        MUST(heap_destroy(own.heaps));
        own.heaps = next;
    }
    return heap_count() == 0 ? 0 : -1;
}

static inline bool own_is_sound(void)
{
    struct damage damage;
    bool sound = check_arena(&own, &damage);
    if (!sound) {
        print_error("%s at %p\n", damage.what, damage.address);
    }
    return sound;
}

static inline struct chunk *take(size_t size)
{
    MUST(lock_acquire(&own.lock));
    struct chunk *chunk = _int_malloc(&own, size);
    MUST(chunk == NULL || chunk_size(chunk) >= size);
    arena_note_live(&own);
    lock_release(&own.lock);
    return chunk;
}

static inline struct chunk *take_aligned(size_t alignment, size_t size)
{
    MUST(lock_acquire(&own.lock));
    struct chunk *chunk = _int_memalign(&own, alignment, size);
    lock_release(&own.lock);
    return chunk;
}

/* Whether too much is so at once, as if time had passed. */
static bool own_is_late = true;

/* A sweep of what is too much is made whole. */
static inline void give(struct chunk *chunk)
{
    MUST(lock_acquire(&own.lock));
    chunk_verify(&own, chunk, where_free);
    _int_free(&own, chunk);
    if (own_is_late) {
        own.sweeps.excess_from = own.sweeps.live_high;
        own.sweeps.excess_since = 0;
    }
    do {
        sweep_excess(&own);
    } while (own.sweeps.of[SWEEP_EXCESS].is_under_way);
    lock_release(&own.lock);
}

/* A whole sweep, in small steps. Returns how many bytes went back. */
static inline size_t sweep(enum sweep_kind kind)
{
    size_t returned = 0;
    bool more = true;
    while (more) {
        struct sweep_room room = {100000, 3, 5, 0, 0};
        MUST(lock_acquire(&own.lock));
        more = sweep_step(&own, kind, &room);
        lock_release(&own.lock);
        returned += room.returned;
    }
    return returned;
}

static inline bool resize(struct chunk *chunk, size_t size)
{
    MUST(lock_acquire(&own.lock));
    chunk_verify(&own, chunk, where_realloc);
    bool done = _int_resize(&own, chunk, size, size);
    lock_release(&own.lock);
    return done;
}

static inline bool trim(size_t pad)
{
    MUST(lock_acquire(&own.lock));
    struct sweep_room room;
    bool any = false, more = true;
    while (more) {
        room = (struct sweep_room){100000, 3, 5, 0, 0};
        more = sweep_all_step(&own, pad, &room);
        any |= room.returned > 0;
    }
    lock_release(&own.lock);
    return any;
}

/* One heap, and in it nothing but top. */
static inline bool own_is_empty(void)
{
    return own.bins.count == 0 && own.bins.bytes == 0 && own.heap_count == 1 &&
           own.top == heap_first_chunk(own.heaps);
}

/* All bytes that the program may write, with a pattern that is not zero. */
static inline void fill(struct chunk *chunk, unsigned char with)
{
    memset(chunk2mem(chunk), with, usable_size_of(chunk_size(chunk)));
}

static inline bool is_filled(const struct chunk *chunk, size_t size,
                             unsigned char with)
{
    const unsigned char *bytes = chunk2mem(chunk);
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != with) {
            return false;
        }
    }
    return true;
}

/* `size` bytes, and a chunk in use behind them. */
static inline struct chunk *take_fenced(size_t size)
{
    struct chunk *chunk = take(size);
    take(MIN_CHUNK_SIZE);
    return chunk;
}

static inline void give_any(void *chunk)
{
    give(chunk);
}

static inline struct chunk *only_free_chunk(void)
{
    unsigned position = 0;
    MUST(own.bins.count == 1);
    return bins_first_from(&own.bins, &position);
}

static inline bool is_zero_behind(const struct chunk *chunk, const char *from)
{
    const char *mem = chunk2mem(chunk);
    size_t usable = usable_size_of(chunk_size(chunk));
    for (size_t i = 0; i < usable; i++) {
        if (mem + i >= from && mem[i] != 0) {
            return false;
        }
    }
    return true;
}

#endif
