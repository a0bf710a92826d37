/*
 * tcache.h - the blocks that a thread keeps at hand, without lock or atomics.
 *
 *   TLS word --> struct tcache                       in the same mapping
 *                | top[class] ---------------+     +-------------------------+
 *                | owner, capacity, ...      |     | NULL | mem | mem |  END |
 *                | outboxes                  +------------------^            |
 *                                                  +-------------------------+
 *
 * Each class has an array of blocks; top is the place of the newest one, in
 * words from the start of the cache. Below the oldest is NULL, or for objects
 * something without a mark; behind the last slot is END: so malloc and free
 * each make one test, on the word that they load anyway. When an array is
 * empty, half of what it may hold is taken from the arena; when it is full, the
 * older half is given there. But large classes lend blocks to each other first.
 * Arrays begin small and double while misses repeat. The struct is kept small,
 * so that the arrays of a thread that allocates little lie in its last page.
 *
 * A thread that has not allocated, or is about to end, uses `tcache_none`:
 * every array of it is empty and full at once, so nothing is asked on the
 * way.
 *
 * All blocks in a cache are CACHED: chunks carry that seal, objects of runs
 * their mark. As a rule all belong to the arena whose number is `owner`, and
 * `first_tag` is of that number. Two threads that have blocks of one arena have
 * them on the same lines. Which class serves a small request, of chunks or of
 * objects, is written down for each size when the thread first asks its arena
 * for one of that step; at first it is a class that is always empty.
 *
 * Those of other arenas that this thread frees wait in outboxes, in a parcel
 * each, until an inbox gets them. An outbox is closed, and then is no arena's,
 * or it has a parcel with room in it. The last entry of a parcel ends where its
 * alignment does: so that is where it is full. A large block may leave its
 * outbox again, to the program, when this thread misses one of its class: it is
 * still in this processor's caches, and need not be sent.
 *
 * But where threads trade blocks all the time, these lie beside each other
 * anyway, and the way home is for nothing, as is to tell them apart: a branch
 * that nobody can predict. So the arena of a thread that is found to do so
 * becomes COMMON: the tags of its pages have that in place of its number, and
 * so has the cache's first_tag. Then free takes blocks of all common arenas
 * alike, as far as there are slots that the cache got for blocks of its own;
 * who wants to know whose a block is asks the owner table. What leaves the
 * cache, to the arena or to an outbox, is sorted. A cache that has moved to
 * another arena since, which need not be common, may still have some
 * (is_mixed).
 *
 * Why that is right while tags change. The owner in the tags of an arena is its
 * number or COMMON, stored by who holds its lock. It changes once, and a reader
 * may see it late, of one page before the other. The owner table says the
 * number before, after, and meanwhile. A cache's first_tag is COMMON only if
 * the arena that fills it is, and else of that one's number. So a tag that
 * matches first_tag is COMMON, and any such block is welcome in a cache that
 * sorts what leaves, or the number of the arena that fills the cache. One that
 * does not match may be of the same arena all the same: of another thread that
 * has made it common, or of before. Outboxes go by numbers alone: a tag that
 * matches one has its arena's number, which is true whatever the arena has
 * become. COMMON matches no outbox. What matches nothing goes the slow way,
 * where tcache_free_common puts the number of the owner table in the tag's
 * place and asks the outbox again, and all that comes behind goes by that
 * number too: a block of the thread's own arena comes to tcache_overflow, where
 * the cache learns what the arena is. Of a heap outside the window the tag is
 * made of the number and what tags_owner says of it, early or late: the same.
 *
 * While a thread sleeps the helper may take the oldest blocks of its classes
 * away, by raising the base of their arrays: see sleepers.h. What a thread does
 * to its cache other than to take or add a block at `top` is a slow call: it
 * says that it is busy, and waits where there is a visitor; and if there was
 * one, it moves the arrays back to where they were.
 */
#ifndef PTM_TCACHE_H
#define PTM_TCACHE_H

#include "arena.h"
#include "base.h"
#include "block.h"
#include "chunk.h"
#include "class.h"
#include "describe.h"
#include "owner.h"
#include "parcel.h"
#include "tags.h"
#include "tcache_limits.h"

enum {
    /* No arena's number, and the tag of no page: tags have 16 bits. */
    OWNER_NONE = 256,
    FIRST_TAG_NONE = OWNER_NONE << TAG_OWNER_SHIFT | 1,
};

struct outbox {
    uint64_t *next;     /* room for an entry of the parcel; NULL: closed */
    uint32_t owner;     /* OWNER_NONE: closed */
    uint32_t bytes;     /* of the blocks in it that are not small */
    uint32_t first_tag; /* as in struct tcache, of the owner's number */
    bool is_old;        /* has seen a tick */
    uint64_t large; /* a bit for each large class of which it may have blocks */
};

struct tcache {
    uint16_t top[CLASS_COUNT]; /* places: see tcache_slot */
    /* The class that serves a request of so many bytes. All of a step have the
     * same; so malloc need not find the step. */
    uint8_t serving[RUN_OBJECT_MAX + 1];
    /* The tag of pages with the first class of objects of the arena that fills
     * the cache; the one before is that of pages with chunks. */
    size_t first_tag;
    uint32_t owner; /* the number of the arena that fills it */
    /* The arrays of classes that have none: of chunks, and of objects. */
    void *none[2];
    void *no_objects[2];

    /* What only slow paths use. */
    uint16_t base[CLASS_COUNT];    /* the place of the NULL of each array */
    uint8_t slots[CLASS_COUNT];    /* that the array has; 0: it is `none` */
    uint8_t capacity[CLASS_COUNT]; /* slots in use */
    uint8_t seen[CLASS_COUNT];     /* see take_unused_slots */
    uint16_t home[CLASS_COUNT];    /* where the base is if there was no visit */
    uint32_t busy;                 /* slow calls under way; atomic */
    uint32_t missed;               /* bytes of slots below raised bases */
    bool was_visited;              /* some base may be raised */
    uint32_t next_array;           /* the place where unused room begins */
    uint32_t capacity_bytes;       /* what all arrays could hold ... */
    uint32_t capacity_limit;       /* ... and may, for now */
    unsigned hand;                 /* the class to take slots from next */
    unsigned overflows;            /* since the cache lacked a block */
    unsigned slow_calls;           /* since outboxes were last sent */
    unsigned watched;              /* objects of WATCHED pages freed, lately */
    struct outbox outboxes[OUTBOXES];
    bool is_mixed;       /* it may have blocks of several arenas */
    size_t sent;         /* blocks to other arenas, lately */
    size_t filled;       /* blocks that it was filled with meanwhile, and ... */
    size_t filled_bytes; /* ... what they come to: see note_trade */
    uint32_t thread; /* the kernel's number of it, for who looks from outside */
};

extern const struct tcache tcache_none;

/* Where the thread's cache is, counted from tcache_none: so that zero, which
 * is what a thread's storage holds even before the loader has set it up, means
 * that there is none. */
extern PTM_TLS ptrdiff_t tcache_distance;

static inline struct tcache *tcache_self(void)
{
    return (struct tcache *)((uintptr_t)&tcache_none +
                             (uintptr_t)tcache_distance);
}

/* What a chunk may have to spare whatever is asked for: no more would be cut
 * off from it. */
#define CHUNK_SPARE ((size_t)MIN_CHUNK_SIZE + MALLOC_ALIGNMENT)

#define TCACHE_END ((void *)1)

/* What is left of the tag of a page with chunks when the first tag of its owner
 * is taken away. */
#define CHUNKS_NUMBER SIZE_MAX

static inline void **tcache_slot(struct tcache *cache, size_t place)
{
    return (void **)cache + place;
}

/* The class of chunks of a request that is cached; the caller has compared it
 * with tcache_limits.cached_request. */
static inline unsigned tcache_class_of(size_t request)
{
    return class_serving(request_to_chunk_size(request));
}

/* The place of the newest block of a class. */
PTM_INLINE size_t tcache_top(const struct tcache *cache, size_t size_class)
{
    size_t top = cache->top[size_class];
    ptm_launder(top); /* else it is kept in two registers, of 16 and 64 bits */
    return top;
}

/* The newest chunk of the class, or NULL: none left. */
PTM_INLINE void *tcache_pop_chunk(struct tcache *cache, size_t size_class)
{
    size_t top = tcache_top(cache, size_class);
    void *mem = *tcache_slot(cache, top);
    ptm_launder_result(mem);
    if (unlikely(mem == NULL)) {
        return NULL;
    }
    chunk_flip_cached(mem2chunk(mem));
    step_down(&cache->top[size_class]);
    return mem;
}

/* What lies below the oldest object of a class: something that can be read, and
 * is not MARKED. So one test tells that none is left, and that one was written
 * to. */
static inline void *tcache_bottom(struct tcache *cache)
{
    return PTM_SEALED ? cache->none : NULL;
}

/* The same for any class. */
static inline void *tcache_bottom_of(struct tcache *cache, unsigned size_class)
{
    return class_is_run(size_class) ? tcache_bottom(cache) : NULL;
}

PTM_INLINE bool tcache_is_object(const void *mem)
{
    return PTM_SEALED ? object_is_marked(mem) : mem != NULL;
}

/* The newest block of the class, or NULL: none left, or not as it was. */
PTM_INLINE void *tcache_pop(struct tcache *cache, size_t size_class)
{
    size_t top = tcache_top(cache, size_class);
    void *mem = *tcache_slot(cache, top);
    ptm_launder_result(mem);
    if (likely(class_is_run((unsigned)size_class))) {
        if (unlikely(!tcache_is_object(mem))) {
            return NULL;
        }
        object_wipe_mark(mem);
        step_down(&cache->top[size_class]);
        return mem;
    }
    if (unlikely(mem == NULL)) {
        return NULL;
    }
    step_down(&cache->top[size_class]); /* first: no common end to jump to */
    chunk_flip_cached(mem2chunk(mem));
    return mem;
}

/* A block for the request, or NULL: not cached, or none left. */
PTM_INLINE void *tcache_malloc(size_t request)
{
    struct tcache *cache = tcache_self();
    if (likely(is_below(request, &tcache_limits.small))) {
        return tcache_pop(cache, cache->serving[request]);
    }
    if (likely(is_below(request - (RUN_OBJECT_MAX + 1),
                        &tcache_limits.large_span))) {
        return tcache_pop_chunk(cache, class_serving_large(request));
    }
    return NULL;
}

/* The same, gate or not. */
PTM_INLINE void *tcache_malloc_behind_gate(size_t request)
{
    struct tcache *cache = tcache_self();
    if (likely(request < tcache_limit(&tcache_limits.cached_small))) {
        return tcache_pop(cache, cache->serving[request]);
    }
    return request < tcache_limit(&tcache_limits.cached_request)
               ? tcache_pop(cache, tcache_class_of(request))
               : NULL;
}

/* A block whose address is a multiple of `alignment`, or NULL. */
PTM_INLINE void *tcache_memalign(size_t alignment, size_t request)
{
    struct tcache *cache = tcache_self();
    size_t size = object_for_aligned(alignment, request);
    size_t size_class = size < tcache_limit(&tcache_limits.cached_small)
                            ? cache->serving[size]
                            : 0;
    return class_is_run((unsigned)size_class) ? tcache_pop(cache, size_class)
                                              : NULL;
}

/* Whether there is a slot behind the newest block, whose place this is, of the
 * class with this number, counted from `first`; the block is then in it. */
PTM_INLINE bool tcache_push_behind(struct tcache *cache, size_t top,
                                   unsigned first, size_t number, void *mem)
{
    if (unlikely(tcache_slot(cache, top)[1] == TCACHE_END)) {
        return false;
    }
    ptm_launder(top);
    tcache_slot(cache, top)[1] = mem;
    ptm_launder(number);
    step_up(&cache->top[first + number]);
    return true;
}

PTM_INLINE bool tcache_push(struct tcache *cache, size_t size_class, void *mem)
{
    return tcache_push_behind(cache, tcache_top(cache, size_class), 0,
                              size_class, mem);
}

/* Whether this is the start of an object whose class is cached, in a page of
 * runs with this byte. */
PTM_INLINE bool tcache_has_object_at(size_t page_byte, const void *mem)
{
    const struct run_shape *shapes = tcache_shapes;
    ptm_launder(shapes);
    return likely(run_shape_has(shapes, page_byte, mem));
}

/* ... which is with the program. False is no verdict. */
PTM_INLINE bool tcache_takes_object(size_t page_byte, const void *mem)
{
    return tcache_has_object_at(page_byte, mem) &&
           likely(!object_may_be_marked(mem));
}

PTM_INLINE bool tcache_free_object(struct tcache *cache, size_t number,
                                   void *mem)
{
    if (unlikely(!tcache_has_object_at(number + 1, mem))) {
        return false;
    }
    uint64_t mark = object_mark(mem);
    if (unlikely(object_may_have(mem, mark))) {
        object_forget_mark(mark);
        return false;
    }
    const unsigned first = CHUNK_CLASSES;
    size_t top =
        object_store_mark_and_load(mem, mark, &cache->top[first + number]);
    if (unlikely(!tcache_push_behind(cache, top, first, number, mem))) {
        object_wipe_mark(mem);
        return false;
    }
    return true;
}

PTM_INLINE bool tcache_free_chunk(struct tcache *cache, size_t size_class,
                                  void *mem, uint32_t seal)
{
    if (unlikely(!tcache_push(cache, size_class, mem))) {
        return false;
    }
    chunk_store_seal(mem2chunk(mem), seal ^ seal_keys.cached);
    return true;
}

/* Takes a block of the cache's owner, or of any common arena if that is one, if
 * it is sound, cached, and has a slot: else false, and it is as it was, but for
 * what is in it. `mem` may be anything in such a page without objects. */
PTM_INLINE bool tcache_free_own_chunk(struct tcache *cache, void *mem)
{
    struct chunk *chunk = mem2chunk(mem);
    uint32_t low = chunk_low(chunk);
    uint32_t seal = chunk_seal_in_use(chunk, low);
    if (unlikely(!chunk_has_seal(chunk, seal))) {
        return false;
    }
    if (likely(is_below_32(low, &tcache_limits.small_low))) {
        return tcache_free_chunk(cache, low / MALLOC_ALIGNMENT, mem, seal);
    }
    return is_below_32(low - TCACHE_LARGE_LOW, &tcache_limits.large_low_span) &&
           tcache_free_chunk(cache, class_joined_by_large(low), mem, seal);
}

/* The outbox has all that it may hold: it is closed, and goes on its way. */
void tcache_send(struct outbox *box);

/* The outbox is open. */
PTM_INLINE void tcache_add(struct outbox *box, void *mem, size_t size_class)
{
    uint64_t *next = box->next;
    *next = parcel_entry(mem, size_class);
    box->next = ++next;
    if (unlikely(parcel_ends_at(next))) {
        tcache_send(box);
    }
}

PTM_INLINE bool tcache_send_object(struct outbox *box, size_t number, void *mem)
{
    if (unlikely(!tcache_has_object_at(number + 1, mem))) {
        return false;
    }
    uint64_t mark = object_mark(mem);
    if (unlikely(object_may_have(mem, mark))) {
        object_forget_mark(mark);
        return false;
    }
    object_store_mark(mem, mark);
    tcache_add(box, mem, number + CHUNK_CLASSES);
    return true;
}

/* Takes a sound small block of another arena, in a page with this tag, whose
 * outbox is open: else false, and nothing has happened. `mem` may be anything
 * that has the tag. */
PTM_INLINE bool tcache_free_remote(struct tcache *cache, unsigned tag,
                                   void *mem)
{
    size_t place = tag_owner(tag) % OUTBOXES;
    ptm_launder(place); /* else it is changed, and then shifted */
    struct outbox *box = &cache->outboxes[place];
    ptm_launder(box); /* else its address is made twice */
    size_t number = tag - box->first_tag;
    ptm_launder(number); /* else it is kept in two registers */
    if (likely(number < RUN_CLASSES)) {
        return tcache_send_object(box, number, mem);
    }
    if (unlikely((uint32_t)number != (uint32_t)CHUNKS_NUMBER)) {
        return false;
    }
    struct chunk *chunk = mem2chunk(mem);
    uint32_t low = chunk_low(chunk);
    uint32_t seal = chunk_seal_in_use(chunk, low);
    /* A direct mapping may lie in the 64 MiB of a heap that reserved less; its
     * size field is 0. */
    if (unlikely(
            !chunk_has_seal(chunk, seal) ||
            !is_below_32(low - MIN_CHUNK_SIZE, &tcache_limits.remote_span))) {
        return false;
    }
    chunk_store_seal(chunk, seal ^ seal_keys.cached);
    tcache_add(box, mem, low / MALLOC_ALIGNMENT);
    return true;
}

/* The same for a block of a common arena that is not this thread's, for which
 * there was no slot, or which this thread does not take. */
bool tcache_free_common(void *mem);

/* The number of an object's class, in a page with this tag whose blocks the
 * cache takes; CHUNKS_NUMBER: there are chunks in it. Larger ones are neither.
 */
static inline size_t tcache_number_of(const struct tcache *cache, unsigned tag)
{
    size_t number = tag - cache->first_tag;
    ptm_launder(number); /* else the tag is kept besides */
    return number;
}

/* A block of whatever arena, if tcache_free_object, _own_chunk or _remote take
 * it. */
PTM_INLINE bool tcache_free_tagged(struct tcache *cache, unsigned tag,
                                   void *mem)
{
    size_t number = tcache_number_of(cache, tag);
    if (likely(number < RUN_CLASSES)) {
        return tcache_free_object(cache, number, mem);
    }
    return number == CHUNKS_NUMBER ? tcache_free_own_chunk(cache, mem)
                                   : tcache_free_remote(cache, tag, mem);
}

/* The tag of an address, wherever it is. */
static inline unsigned tcache_tag_of(const void *mem)
{
    size_t place = tags_place(mem);
    if (likely(place < TAGS)) {
        return tag_at(place);
    }
    unsigned owner = owner_of(mem);
    return owner != 0 ? tag_of(tags_owner(owner),
                               (unsigned)heap_page_byte(heap_for_ptr(mem), mem))
                      : 0;
}

static inline bool tcache_free(void *mem)
{
    return tcache_free_tagged(tcache_self(), tcache_tag_of(mem), mem);
}

/* As tcache_free, for own objects of pages that are WATCHED. */
bool tcache_free_watched(void *mem);

/* As tcache_free_remote, for all sizes that are cached, and opens the
 * outbox. */
bool tcache_free_remote_slowly(void *mem);

/* True if the object is sound, large enough, and the request more than half of
 * it. */
PTM_INLINE bool tcache_object_fits(const void *mem, size_t page_byte,
                                   size_t request)
{
    size_t size = (page_byte & ~(size_t)RUN_WATCHED) * MALLOC_ALIGNMENT;
    return request <= size && 2 * request > size &&
           tcache_takes_object(page_byte, mem);
}

/* True if the block is sound, and neither too small for the request, which is
 * not 0, nor much too large. `mem` may be anything. */
PTM_INLINE bool tcache_fits(const void *mem, size_t request)
{
    unsigned tag = tcache_tag_of(mem);
    if (unlikely(tag == 0) ||
        unlikely(!is_below(request - 1, &tcache_limits.resized))) {
        return false;
    }
    size_t page_byte = tag_byte(tag);
    if (page_byte != 0) {
        return tcache_object_fits(mem, page_byte, request);
    }
    const struct chunk *chunk = mem2chunk(mem);
    uint32_t low = chunk_low(chunk);
    size_t usable = usable_size_of(word_size(low));
    ptm_launder(usable); /* else the request is taken from a constant */
    size_t spare = usable - request;
    return likely(spare < CHUNK_SPARE + request / REALLOC_SPARE_SHARE) &&
           likely(chunk_has_seal(chunk, chunk_seal_in_use(chunk, low)));
}

/* ---- slow paths: no lock is held, but where an arena is given ---------- */

/* Called at the start of a slow call: what waits in an outbox does not wait
 * for ever. */
void tcache_tick(void);

/* Makes the thread's cache, if there is memory; from then on it is used. */
void tcache_create(void);

/* Gives everything back and ends the thread's caching for good. The memory of
 * a few caches is kept for threads to come. */
void tcache_destroy(void);

/* The thread is attached to this arena now, and holds its lock: blocks of the
 * one before go home. Where there is no memory to write them down, the cache
 * stays with the old arena, and does not serve until a later call succeeds. */
void tcache_follow(struct arena *arena);

/* Whether this thread's cache deals in blocks of this arena. */
static inline bool tcache_serves(const struct arena *arena)
{
    return tcache_self()->owner == arena->number;
}

/* A block for a request that tcache_malloc has none for, of a class that is a
 * little larger, or a large one that waits in an outbox; or NULL. */
void *tcache_malloc_near(size_t request);

/* A block for a request that is cached, IN USE, after the cache had none: fills
 * up from the arena, which is locked and is the cache's owner. Blocks that
 * follow each other in memory will be handed out in that order. The arena's
 * zero_from speaks of the block returned. NULL when the arena has nothing
 * left. */
void *tcache_refill(struct arena *arena, size_t request);

/* The same at a multiple of `alignment`, if the arena has runs for that, and
 * the request is small: else NULL. */
void *tcache_refill_aligned(struct arena *arena, size_t alignment,
                            size_t request);

/* Takes a sound block of the cache's owner that tcache_free has refused: there
 * was no slot for it, or its page is WATCHED. */
void tcache_overflow(void *mem);

/* Gives all blocks to the arenas they belong to. */
void tcache_flush(void);

/* In the child of a fork: the caches of other threads are lost, and this one's
 * thread has another number now. */
void tcache_after_fork(void);

extern const struct description tcache_description[];

#endif
