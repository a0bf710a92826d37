#include "tcache.h"

#include <string.h>

#include "arenas.h"
#include "bell.h"
#include "caches.h"
#include "fatal.h"
#include "guard.h"
#include "options.h"
#include "os.h"
#include "probes.h"
#include "sweep.h"

enum {
    SLOT_SIZE = sizeof(void *),
    ARRAY_EXTRA = 2, /* NULL and END */
    NONE = offsetof(struct tcache, none) / SLOT_SIZE,
    NO_OBJECTS = offsetof(struct tcache, no_objects) / SLOT_SIZE,
    FIRST_ARRAY = sizeof(struct tcache) / SLOT_SIZE,
};

_Static_assert(CACHE_MAGAZINES *MAGAZINE_MAX < 255,
               "capacities are bytes, and so is one more than a count");
_Static_assert(CACHE_MAP_SIZE / SLOT_SIZE <= UINT16_MAX + 1,
               "a place is 16 bits");
_Static_assert(offsetof(struct tcache, none) % SLOT_SIZE == 0,
               "`none` is at a place");

/* Never written: every store is behind a test that it fails. No request is
 * served by objects, so that nobody looks for one in NULL. */
const struct tcache tcache_none = {
    .top = {[0 ... CHUNK_CLASSES - 1] = NONE,
            [CHUNK_CLASSES... CLASS_COUNT - 1] = NO_OBJECTS},
    .first_tag = FIRST_TAG_NONE,
    .owner = OWNER_NONE,
    .none = {NULL, TCACHE_END},
    .no_objects = {NULL, TCACHE_END},
    .base = {[0 ... CHUNK_CLASSES - 1] = NONE,
             [CHUNK_CLASSES... CLASS_COUNT - 1] = NO_OBJECTS},
    .home = {[0 ... CHUNK_CLASSES - 1] = NONE,
             [CHUNK_CLASSES... CLASS_COUNT - 1] = NO_OBJECTS},
    .outboxes = {[0 ... OUTBOXES - 1] = {.owner = OWNER_NONE,
                                         .first_tag = FIRST_TAG_NONE}},
};

PTM_TLS ptrdiff_t tcache_distance;

static bool is_none(const struct tcache *cache)
{
    return cache == &tcache_none;
}

/* ---- arrays -------------------------------------------------------------- */

static size_t blocks_in(const struct tcache *cache, unsigned size_class)
{
    return (size_t)cache->top[size_class] - cache->base[size_class];
}

/* The oldest block's slot. */
static void **blocks_of(struct tcache *cache, unsigned size_class)
{
    return tcache_slot(cache, cache->base[size_class]) + 1;
}

/* Now holds the first `count` of its blocks. */
static void set_count(struct tcache *cache, unsigned size_class, size_t count)
{
    cache->top[size_class] = (uint16_t)(cache->base[size_class] + count);
}

/* The class has an array, of so many slots at least. */
static void set_capacity(struct tcache *cache, unsigned size_class,
                         unsigned capacity)
{
    uint32_t size = (uint32_t)class_size(size_class);
    unsigned before = cache->capacity[size_class];
    cache->capacity_bytes += capacity * size - before * size;
    caches_count((size_t)capacity * size, (size_t)before * size);
    cache->capacity[size_class] = (uint8_t)capacity;
    blocks_of(cache, size_class)[before] = NULL;
    blocks_of(cache, size_class)[capacity] = TCACHE_END;
}

/* The class's blocks are in an array of `capacity` slots at least. False when
 * the cache has no room left for one. Arrays are never freed: a class has at
 * most seven, each twice as large as the one before. */
static bool ensure_slots(struct tcache *cache, unsigned size_class,
                         unsigned capacity)
{
    if (cache->slots[size_class] >= capacity) {
        return true;
    }
    uint32_t base = cache->next_array;
    uint32_t end = base + capacity + ARRAY_EXTRA;
    if (end > CACHE_MAP_SIZE / SLOT_SIZE) {
        return false;
    }
    size_t count = blocks_in(cache, size_class);
    *tcache_slot(cache, base) = tcache_bottom_of(cache, size_class);
    memcpy(tcache_slot(cache, base) + 1, blocks_of(cache, size_class),
           count * SLOT_SIZE);
    cache->base[size_class] = (uint16_t)base;
    cache->home[size_class] = (uint16_t)base;
    set_count(cache, size_class, count);
    cache->slots[size_class] = (uint8_t)capacity;
    cache->next_array = end;
    return true;
}

static unsigned next_capacity(const struct tcache *cache, unsigned size_class)
{
    unsigned most = class_slots(size_class);
    unsigned now = cache->capacity[size_class];
    unsigned next = now == 0 ? CACHE_FIRST_SLOTS : 2 * now;
    return next < most ? next : most;
}

static bool may_hold(const struct tcache *cache, unsigned size_class,
                     unsigned capacity)
{
    size_t more =
        (capacity - cache->capacity[size_class]) * class_size(size_class);
    size_t bytes = cache->capacity_bytes + more;
    return bytes <= cache->capacity_limit &&
           (bytes <= CACHE_BYTES_ALWAYS || caches_may_grow(more));
}

/* Doubles the slots of the class; false when it has all it may have, or the
 * cache has. */
static bool raise_capacity(struct tcache *cache, unsigned size_class)
{
    unsigned capacity = next_capacity(cache, size_class);
    if (capacity == cache->capacity[size_class] ||
        !may_hold(cache, size_class, capacity) ||
        !ensure_slots(cache, size_class, capacity)) {
        return false;
    }
    set_capacity(cache, size_class, capacity);
    return true;
}

/* The cache takes what has the tags of the arena that fills it. What comes from
 * several is to be sorted, even by a handler that comes between. */
static void match_tags(struct tcache *cache)
{
    unsigned owner = tags_owner(cache->owner);
    if (owner == TAG_COMMON) {
        cache->is_mixed = true;
        __atomic_signal_fence(__ATOMIC_RELEASE);
    }
    cache->first_tag = tag_of(owner, 1);
}

/* ---- slow calls, and visits ----------------------------------------------
 */

/* The array's blocks move to the start of it. The thread has not used them for
 * a while: so it begins with few slots again. */
static void move_home(struct tcache *cache, unsigned size_class)
{
    size_t count = blocks_in(cache, size_class);
    void **from = blocks_of(cache, size_class);
    cache->base[size_class] = cache->home[size_class];
    memmove(blocks_of(cache, size_class), from, count * SLOT_SIZE);
    set_count(cache, size_class, count);
    set_capacity(cache, size_class,
                 (unsigned)min_size(max_size(count, CACHE_FIRST_SLOTS),
                                    cache->capacity[size_class]));
}

static void settle_after_visit(struct tcache *cache)
{
    cache->was_visited = false;
    caches_count(cache->missed, 0);
    cache->missed = 0;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        if (cache->base[i] != cache->home[i]) {
            move_home(cache, i);
        }
    }
}

PTM_NOINLINE static void meet_visitor(struct tcache *cache)
{
    caches_await_visitor(cache);
    if (cache->was_visited) {
        settle_after_visit(cache);
    }
}

static void set_busy(struct tcache *cache, uint32_t busy, int order)
{
    __atomic_store_n(&cache->busy, busy, order);
}

/* From here to end_slow the cache is its thread's alone. sleepers.h says why
 * the fence need only keep the compiler from moving the load. */
PTM_INLINE void begin_slow(struct tcache *cache)
{
    set_busy(cache, cache->busy + 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (unlikely(caches_is_visited(cache)) || unlikely(cache->was_visited)) {
        meet_visitor(cache);
    }
}

PTM_INLINE void end_slow(struct tcache *cache)
{
    set_busy(cache, cache->busy - 1, __ATOMIC_RELEASE);
}

/* ---- going home ------------------------------------------------------------
 */

/* Returns how many parcels wait at the arena now. */
static size_t push_parcel(struct arena *arena, struct parcel *parcel)
{
    return inbox_push(&arena->inbox, parcel) + arena_arrivals(arena);
}

/* Are there more, by far, than the arena's threads would leave that come by now
 * and then? */
static bool lock_to_sort(struct arena *arena, size_t waiting)
{
    if (waiting >= INBOX_PARCELS_MOST) {
        return arena_acquire(arena);
    }
    return (waiting >= INBOX_PARCELS || !arenas_has_threads(arena)) &&
           lock_try(&arena->lock);
}

/* Where nobody looks into the inbox, or not often enough, whoever sends to it
 * does, and sorts more than it has sent. */
static void send_parcel(unsigned owner, struct parcel *parcel)
{
    struct arena *arena = arena_numbered(owner);
    if (unlikely(arena->is_abandoned)) {
        parcel_put(parcel);
        return;
    }
    size_t waiting = push_parcel(arena, parcel);
    bell_ring();
    if (lock_to_sort(arena, waiting)) {
        arena_sort_arrivals(arena, 2 * PARCEL_BLOCKS);
        sweep_excess(arena);
        arena_release(arena);
    }
}

/* There is one more class than bits: the first and the last share one. */
static uint64_t large_class_bit(unsigned size_class)
{
    return (uint64_t)1 << (size_class - SMALL_CLASSES) % 64;
}

/* The outbox is closed, and what was in it is under way. */
static struct parcel *close_outbox(struct outbox *box)
{
    struct parcel *parcel = parcel_before(box->next);
    parcel->count = (size_t)(box->next - parcel->entries);
    *box = (struct outbox){.owner = OWNER_NONE, .first_tag = FIRST_TAG_NONE};
    return parcel;
}

PTM_NOINLINE void tcache_send(struct outbox *box)
{
    unsigned owner = box->owner;
    if (owner == OWNER_NONE) {
        return;
    }
    struct parcel *parcel = close_outbox(box);
    if (parcel->count > 0) {
        tcache_self()->sent += parcel->count;
        send_parcel(owner, parcel);
    } else {
        parcel_put(parcel);
    }
}

static void send_all_outboxes(struct tcache *cache)
{
    cache->slow_calls = 0;
    for (unsigned i = 0; i < OUTBOXES; i++) {
        tcache_send(&cache->outboxes[i]);
    }
}

/* Sends what was there at the tick before this one. */
static void send_old_outboxes(struct tcache *cache)
{
    cache->slow_calls = 0;
    for (unsigned i = 0; i < OUTBOXES; i++) {
        struct outbox *box = &cache->outboxes[i];
        if (box->is_old) {
            tcache_send(box);
        } else {
            box->is_old = box->owner != OWNER_NONE;
        }
    }
}

void tcache_tick(void)
{
    struct tcache *cache = tcache_self();
    if (!is_none(cache) && ++cache->slow_calls >= OUTBOX_PATIENCE) {
        send_old_outboxes(cache);
    }
}

/* False when there is no memory for a parcel. */
static bool open_outbox(struct outbox *box, unsigned owner)
{
    if (box->owner == owner) {
        return true;
    }
    tcache_send(box);
    struct parcel *parcel = parcel_get();
    if (parcel != NULL) {
        *box = (struct outbox){.next = parcel->entries,
                               .owner = owner,
                               .first_tag = tag_of(owner, 1)};
    }
    return parcel != NULL;
}

/* The class that a block with this size word, which is sound, joins; 0: it is
 * not cached. The M of a direct mapping that lies in the 64 MiB of a heap that
 * reserved less comes with a size field of 0. */
static unsigned class_of_low(uint32_t low)
{
    return low >= MIN_CHUNK_SIZE && low < tcache_low_limit(&tcache_limits.low)
               ? class_joined_by(word_size(low))
               : 0;
}

/* The same as tcache_takes_object, for a page that is WATCHED: it asks for the
 * bit as well. */
PTM_INLINE bool takes_watched_object(size_t page_byte, const void *mem)
{
    size_t number = page_byte & ~(size_t)RUN_WATCHED;
    return tcache_takes_object(number, mem) &&
           !run_has_free(heap_run_of(mem), (unsigned)number + CHUNK_CLASSES - 1,
                         mem);
}

/* An object of a WATCHED page, which is with the program, is freed. Of pages of
 * which that happens often there are few, so this meets them soon. */
static void count_watched(struct tcache *cache, struct arena *arena,
                          const void *mem)
{
    if (++cache->watched < WATCH_PATIENCE) {
        return;
    }
    cache->watched = 0;
    if (lock_try(&arena->lock)) {
        arena_end_watch(arena, mem);
        arena_release(arena);
    }
}

bool tcache_free_common(void *mem)
{
    unsigned tag = tcache_tag_of(mem);
    return tag_owner(tag) == TAG_COMMON &&
           tcache_free_remote(tcache_self(),
                              tag_of(owner_of(mem), tag_byte(tag)), mem);
}

bool tcache_free_watched(void *mem)
{
    struct tcache *cache = tcache_self();
    if (owner_of(mem) != cache->owner) {
        return false;
    }
    size_t page_byte = heap_page_byte(heap_for_ptr(mem), mem);
    size_t number = page_byte & ~(size_t)RUN_WATCHED;
    if (!takes_watched_object(page_byte, mem) ||
        !tcache_push(cache, number + CHUNK_CLASSES - 1, mem)) {
        return false;
    }
    object_set_mark(mem);
    return true;
}

static bool send_object(struct outbox *box, unsigned owner, size_t page_byte,
                        void *mem)
{
    bool is_watched = (page_byte & RUN_WATCHED) != 0;
    if (!(is_watched ? takes_watched_object(page_byte, mem)
                     : tcache_takes_object(page_byte, mem)) ||
        !open_outbox(box, owner)) {
        return false;
    }
    if (is_watched) {
        count_watched(tcache_self(), arena_numbered(owner), mem);
    }
    size_t number = page_byte & ~(size_t)RUN_WATCHED;
    object_set_mark(mem);
    tcache_add(box, mem, (unsigned)number + CHUNK_CLASSES - 1);
    return true;
}

/* The outbox is open, and the block CACHED. */
static void add_cached(struct outbox *box, unsigned size_class, void *mem)
{
    *box->next++ = parcel_entry(mem, size_class);
    if (class_is_large(size_class)) {
        box->bytes += (uint32_t)chunk_size(mem2chunk(mem));
        box->large |= large_class_bit(size_class);
    }
    if (parcel_ends_at(box->next) || box->bytes >= OUTBOX_BYTES) {
        tcache_send(box);
    }
}

bool tcache_free_remote_slowly(void *mem)
{
    struct tcache *cache = tcache_self();
    unsigned owner = owner_of(mem);
    if (owner == 0 || owner == cache->owner || is_none(cache) ||
        arena_numbered(owner)->is_private) {
        return false;
    }
    struct outbox *box = &cache->outboxes[owner % OUTBOXES];
    size_t page_byte = heap_page_byte(heap_for_ptr(mem), mem);
    if ((page_byte & ~(size_t)RUN_WATCHED) != 0) {
        return send_object(box, owner, page_byte, mem);
    }
    if (heap_page_of(mem) == 0) {
        return false; /* the header's, and what is before it may be nobody's */
    }
    struct chunk *chunk = mem2chunk(mem);
    uint32_t low = chunk_low(chunk);
    uint32_t seal = chunk_seal_in_use(chunk, low);
    unsigned size_class = class_of_low(low);
    if (chunk_seal(chunk) != seal || size_class == 0 ||
        !open_outbox(box, owner)) {
        return false;
    }
    chunk_store_seal(chunk, seal ^ seal_keys.cached);
    add_cached(box, size_class, mem);
    return true;
}

/* A parcel of blocks of one class, or NULL when there is no memory for it. */
static struct parcel *pack(unsigned size_class, void *const *mems, size_t count)
{
    struct parcel *parcel = parcel_get();
    for (size_t i = 0; parcel != NULL && i < count; i++) {
        parcel_add(parcel, mems[i], size_class);
    }
    return parcel;
}

/* Gives blocks to the cache's arena: to its depot if the lock can be had soon,
 * else to its inbox; and if there is no memory for a parcel, the lock is waited
 * for. */
static void give_blocks(const struct tcache *cache, unsigned size_class,
                        void *const *mems, size_t count)
{
    struct arena *arena = arena_numbered(cache->owner);
    PROBE_2(ptm, flush, size_class, count);
    bool is_locked = lock_try_patiently(&arena->lock);
    if (!is_locked) {
        struct parcel *parcel = pack(size_class, mems, count);
        if (parcel != NULL) {
            send_parcel(cache->owner, parcel);
            return;
        }
        is_locked = arena_acquire(arena);
    }
    if (is_locked) {
        arena_sort_arrivals(arena, SLOW_STEP);
        arena_give(arena, size_class, mems, count);
        sweep_excess(arena);
        arena_release(arena);
    }
}

/* A CACHED block of another arena. Where there is no memory for a parcel, the
 * lock is waited for. */
static void send_to_owner(struct tcache *cache, unsigned owner,
                          unsigned size_class, void *mem)
{
    struct outbox *box = &cache->outboxes[owner % OUTBOXES];
    if (likely(open_outbox(box, owner))) {
        add_cached(box, size_class, mem);
        return;
    }
    struct arena *arena = arena_numbered(owner);
    if (arena_acquire(arena)) {
        arena_give(arena, size_class, &mem, 1);
        sweep_excess(arena);
        arena_release(arena);
    }
}

/* Sends those of other arenas home; returns how many are left, which come
 * first. */
static size_t send_others_home(struct tcache *cache, unsigned size_class,
                               void **mems, size_t count)
{
    size_t own = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned owner = owner_of(mems[i]);
        if (owner == cache->owner) {
            mems[own++] = mems[i];
        } else {
            send_to_owner(cache, owner, size_class, mems[i]);
        }
    }
    return own;
}

/* Where an arena is given, it is the cache's, and so are the blocks. */
static void give_oldest(struct tcache *cache, unsigned size_class, size_t count,
                        struct arena *locked)
{
    void **mems = blocks_of(cache, size_class);
    if (locked != NULL) {
        arena_give(locked, size_class, mems, count);
    } else {
        size_t own = cache->is_mixed
                         ? send_others_home(cache, size_class, mems, count)
                         : count;
        if (own > 0) {
            give_blocks(cache, size_class, mems, own);
        }
    }
    size_t left = blocks_in(cache, size_class) - count;
    memmove(mems, mems + count, left * SLOT_SIZE);
    set_count(cache, size_class, left);
}

static void give_class(struct tcache *cache, unsigned size_class,
                       struct arena *locked)
{
    size_t count = blocks_in(cache, size_class);
    if (count > 0) {
        give_oldest(cache, size_class, count, locked);
    }
}

static void give_all(struct tcache *cache)
{
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
        give_class(cache, size_class, NULL);
    }
}

void tcache_flush(void)
{
    struct tcache *cache = tcache_self();
    if (!is_none(cache)) {
        begin_slow(cache);
        give_all(cache);
        send_all_outboxes(cache);
        end_slow(cache);
    }
}

/* ---- slow paths of malloc and free -----------------------------------------
 */

/* Slow calls for a class are a use of it: the hand spares it once. */
static void note_use(struct tcache *cache, unsigned size_class)
{
    cache->seen[size_class] = 0;
}

static void move_hand(struct tcache *cache)
{
    cache->hand = (cache->hand + 1) % CLASS_COUNT;
}

static void take_slots_away(struct tcache *cache, unsigned size_class,
                            struct arena *locked)
{
    give_class(cache, size_class, locked);
    set_capacity(cache, size_class, 0);
}

/* With a lock held nothing is sent to other arenas. */
static bool may_give_all(struct tcache *cache, unsigned size_class,
                         const struct arena *locked)
{
    void *const *mems = blocks_of(cache, size_class);
    size_t count = blocks_in(cache, size_class);
    for (size_t i = 0; locked != NULL && cache->is_mixed && i < count; i++) {
        if (owner_of(mems[i]) != locked->number) {
            return false;
        }
    }
    return true;
}

/* Takes the slots of a class away that has as many blocks as when the hand
 * came by last, one more than which is `seen`; looks at a few. */
static void take_unused_slots(struct tcache *cache, unsigned size_class,
                              struct arena *locked)
{
    for (unsigned i = 0; i < CACHE_HAND_STEPS; i++) {
        unsigned hand = cache->hand;
        move_hand(cache);
        if (hand == size_class || cache->capacity[hand] == 0) {
            continue;
        }
        size_t seen = blocks_in(cache, hand) + 1;
        if (cache->seen[hand] == seen && may_give_all(cache, hand, locked)) {
            take_slots_away(cache, hand, locked);
            return;
        }
        cache->seen[hand] = (uint8_t)seen;
    }
}

/* Takes the slots of another class away, so that this one can have some. */
static void make_room(struct tcache *cache, unsigned size_class)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        unsigned hand = cache->hand;
        move_hand(cache);
        if (hand != size_class && cache->capacity[hand] > 0) {
            take_slots_away(cache, hand, NULL);
            return;
        }
    }
}

/* A block of the class that waits in the outbox, or NULL: the newest one, as
 * that was touched last. */
static void *take_waiting_from(struct outbox *box, unsigned size_class)
{
    if (likely((box->large & large_class_bit(size_class)) == 0)) {
        return NULL;
    }
    const uint64_t *first = parcel_before(box->next)->entries;
    for (uint64_t *entry = box->next; entry-- > first;) {
        if (entry_class(*entry) == size_class) {
            void *mem = entry_mem(*entry);
            *entry = *--box->next;
            box->bytes -= (uint32_t)chunk_size(mem2chunk(mem));
            return mem;
        }
    }
    box->large &= ~large_class_bit(size_class);
    return NULL;
}

/* A large block of another arena that was to be sent home, or NULL. */
static void *take_waiting(struct tcache *cache, unsigned size_class)
{
    void *mem = NULL;
    for (unsigned i = 0; i < OUTBOXES && mem == NULL; i++) {
        mem = take_waiting_from(&cache->outboxes[i], size_class);
    }
    return mem;
}

/* Moves that many blocks from the old end of a class to that of another, which
 * has slots for them. */
static void move_oldest(struct tcache *cache, unsigned from, unsigned to,
                        size_t count)
{
    void **given = blocks_of(cache, from);
    void **got = blocks_of(cache, to);
    size_t left = blocks_in(cache, from) - count;
    size_t before = blocks_in(cache, to);
    memmove(got + count, got, before * SLOT_SIZE);
    memcpy(got, given, count * SLOT_SIZE);
    memmove(given, given + count, left * SLOT_SIZE);
    set_count(cache, from, left);
    set_count(cache, to, before + count);
}

/* A large class that has no block gets half of those of the class above; the
 * newest of them is the caller's. NULL: there are none. */
static void *borrow_from(struct tcache *cache, unsigned above,
                         unsigned size_class)
{
    if (*tcache_slot(cache, cache->top[above]) == NULL) {
        return NULL;
    }
    begin_slow(cache);
    size_t count = blocks_in(cache, above) - 1; /* the newest is never taken */
    void *mem = blocks_of(cache, above)[count];
    set_count(cache, above, count);
    move_oldest(cache, above, size_class,
                min_size(count / 2, cache->capacity[size_class]));
    end_slow(cache);
    return mem;
}

void *tcache_malloc_near(size_t request)
{
    struct tcache *cache = tcache_self();
    if (request >= tcache_limit(&tcache_limits.cached_request)) {
        return NULL;
    }
    unsigned size_class = tcache_class_of(request);
    if (!class_is_large(size_class) || blocks_in(cache, size_class) != 0) {
        return NULL;
    }
    unsigned last =
        (unsigned)min_size(size_class + CACHE_NEAR, CHUNK_CLASSES - 1);
    void *mem = take_waiting(cache, size_class);
    for (unsigned above = size_class + 1; mem == NULL && above <= last;
         above++) {
        mem = borrow_from(cache, above, size_class);
        if (mem == NULL) {
            mem = take_waiting(cache, above);
        }
    }
    if (mem != NULL) {
        chunk_flip_cached(mem2chunk(mem));
    }
    return mem;
}

/* A program with much memory loses less by a larger cache. */
static void set_capacity_limit(struct tcache *cache, const struct arena *arena)
{
    size_t share = arena->system_bytes / CACHE_BYTES_SHARE;
    cache->capacity_limit =
        (uint32_t)min_size(max_size(share, CACHE_BYTES_MIN), CACHE_BYTES_MAX);
}

/* An object may have been written to since it was freed. */
static void hand_out(struct arena *owner, unsigned size_class, void *mem)
{
    if (class_is_run(size_class)) {
        object_verify_cached(owner, mem);
    }
    block_hand_out(mem, size_class);
}

/* The newest block of a class that has some. */
static void *take_newest(struct tcache *cache, unsigned size_class)
{
    size_t count = blocks_in(cache, size_class);
    void *mem = blocks_of(cache, size_class)[count - 1];
    set_count(cache, size_class, count - 1);
    hand_out(arena_numbered(cache->owner), size_class, mem);
    return mem;
}

/* The newest block of a class that has some whose arena is this one, which is
 * locked; or, where all are of others, one from the arena. */
static void *take_own(struct tcache *cache, struct arena *arena,
                      unsigned size_class)
{
    void **mems = blocks_of(cache, size_class);
    size_t last = blocks_in(cache, size_class) - 1;
    if (class_is_run(size_class)) {
        /* It may be the reason why malloc has come here. */
        object_verify_cached(arena_numbered(owner_of(mems[last])), mems[last]);
    }
    for (size_t i = last + 1; i-- > 0;) {
        void *mem = mems[i];
        if (!cache->is_mixed || owner_of(mem) == arena->number) {
            mems[i] = mems[last];
            mems[last] = mem;
            return take_newest(cache, size_class);
        }
    }
    void *mem = NULL;
    if (arena_take(arena, size_class, &mem, 1) > 0) {
        guard_count(1);
        hand_out(arena, size_class, mem);
    }
    return mem;
}

static bool has_slot(const struct tcache *cache, unsigned size_class)
{
    return blocks_in(cache, size_class) < cache->capacity[size_class];
}

static void add_block(struct tcache *cache, unsigned size_class, void *mem)
{
    size_t count = blocks_in(cache, size_class);
    ptm_assert(count < cache->capacity[size_class]);
    blocks_of(cache, size_class)[count] = mem;
    set_count(cache, size_class, count + 1);
}

/* Whether the block is large, and its class has a slot, where it is now. */
static bool takes_arrival(struct tcache *cache, uint64_t entry)
{
    unsigned size_class = entry_class(entry);
    if (!class_is_large(size_class) || !has_slot(cache, size_class)) {
        return false;
    }
    add_block(cache, size_class, entry_mem(entry));
    return true;
}

/* Of the large blocks that come home next, those that the cache has slots for
 * go there, and not by way of a depot that holds few of their size. True when
 * the class has some then. */
static bool take_arrivals(struct tcache *cache, struct arena *arena,
                          unsigned size_class)
{
    struct parcel *parcel = arena_first_arrival(arena);
    if (parcel == NULL) {
        return false;
    }
    size_t count = parcel->count;
    size_t left = count - min_size(count, SLOW_STEP);
    for (size_t i = left; i < count; i++) {
        uint64_t entry = parcel->entries[i];
        if (!takes_arrival(cache, entry)) {
            parcel->entries[left++] = entry;
        }
    }
    parcel->count = left;
    guard_count(count - left);
    return blocks_in(cache, size_class) > 0;
}

/* The same as raise_capacity, for a class that has no block, with the lock. A
 * thread that only allocates comes here alone: so a small class, which needs
 * little, gets slots that others do not use. Large ones would take them from
 * each other. */
static void raise_capacity_locked(struct tcache *cache, struct arena *arena,
                                  unsigned size_class)
{
    if (!raise_capacity(cache, size_class) && !class_is_large(size_class) &&
        cache->capacity[size_class] < class_slots(size_class)) {
        take_unused_slots(cache, size_class, arena);
        raise_capacity(cache, size_class);
    }
}

/* The first becomes the last. */
static void turn_round(void **mems, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        void *mem = mems[i];
        mems[i] = mems[count - 1 - i];
        mems[count - 1 - i] = mem;
    }
}

/* Another class than the one that the cache was asked for may serve now, and
 * have blocks. What is taken goes to the class's slots at once: a list of its
 * own here would take a page of stack more in many threads. */
static void *refill_class(struct tcache *cache, struct arena *arena,
                          unsigned size_class)
{
    if (blocks_in(cache, size_class) > 0) {
        arena->zero_from = NULL;
        return take_own(cache, arena, size_class);
    }
    note_use(cache, size_class);
    cache->overflows = 0;
    set_capacity_limit(cache, arena);
    raise_capacity_locked(cache, arena, size_class);
    size_t wanted = max_size(cache->capacity[size_class] / CACHE_MAGAZINES, 1);
    if (class_is_large(size_class) && take_arrivals(cache, arena, size_class)) {
        arena->zero_from = NULL;
        return take_newest(cache, size_class);
    }
    void *one; /* where the class has no slots */
    void **mems =
        cache->capacity[size_class] > 0 ? blocks_of(cache, size_class) : &one;
    arena_sort_arrivals(arena, SLOW_STEP);
    size_t got = arena_take(arena, size_class, mems, wanted);
    if (got == 0) {
        return NULL;
    }
    PROBE_2(ptm, refill, size_class, got);
    guard_count(got);
    cache->filled += got;
    cache->filled_bytes += got * class_size(size_class);
    turn_round(mems, got);
    if (got > 1) {
        set_count(cache, size_class, got - 1);
    }
    void *mem = mems[got - 1];
    hand_out(arena, size_class, mem);
    return mem;
}

/* All requests of a step are served alike. */
static void serve_by(struct tcache *cache, size_t request, unsigned size_class)
{
    size_t last = request_step_end(request);
    size_t count = last == 0 ? 1 : REQUEST_STEP;
    memset(cache->serving + last + 1 - count, (int)size_class, count);
}

/* Where no run can be made, a chunk will do. */
static void *refill_small(struct tcache *cache, struct arena *arena,
                          size_t request)
{
    unsigned size_class = arena_class_for(arena, request);
    void *mem = refill_class(cache, arena, size_class);
    if (unlikely(mem == NULL) && class_is_run(size_class)) {
        size_class = tcache_class_of(request);
        mem = refill_class(cache, arena, size_class);
    }
    serve_by(cache, request, size_class);
    return mem;
}

static void forget_trade(struct tcache *cache)
{
    cache->sent = 0;
    cache->filled = 0;
    cache->filled_bytes = 0;
}

/* The thread was filled with as much as lives in its arena, several times. If
 * it sent as many blocks home to others meanwhile, it trades with these. */
static void judge_trade(struct tcache *cache, struct arena *arena)
{
    if (TRADE_SHARE * cache->sent >= cache->filled) {
        arena_make_common(arena);
    }
    forget_trade(cache);
}

/* The arena is locked and fills the cache. Who takes over what another thread
 * has allocated sends that home once, and then as much of its own arena lives:
 * so it does not come to that many turns. */
static void note_trade(struct tcache *cache, struct arena *arena)
{
    if (unlikely(cache->filled_bytes >= TRADE_LEAST) &&
        cache->filled_bytes >= TRADE_TURNS * arena_live_bytes(arena)) {
        judge_trade(cache, arena);
    }
    match_tags(cache);
}

void *tcache_refill(struct arena *arena, size_t request)
{
    struct tcache *cache = tcache_self();
    ptm_assert(cache->owner == arena->number);
    note_trade(cache, arena);
    begin_slow(cache);
    void *mem = request < tcache_limit(&tcache_limits.cached_small)
                    ? refill_small(cache, arena, request)
                    : refill_class(cache, arena, tcache_class_of(request));
    end_slow(cache);
    return mem;
}

void *tcache_refill_aligned(struct arena *arena, size_t alignment,
                            size_t request)
{
    struct tcache *cache = tcache_self();
    size_t size = object_for_aligned(alignment, request);
    ptm_assert(cache->owner == arena->number);
    if (size >= tcache_limit(&tcache_limits.cached_small)) {
        return NULL;
    }
    unsigned size_class = arena_class_for(arena, size);
    if (!class_is_run(size_class)) {
        arena_note_demand(arena, size_class);
        return NULL;
    }
    serve_by(cache, size, size_class);
    begin_slow(cache);
    void *mem = refill_class(cache, arena, size_class);
    end_slow(cache);
    return mem;
}

/* Whether there is a slot for a block of this large class now: in it, as blocks
 * of it went to a class a little smaller that has slots, or in that one. */
static bool find_slot_near(struct tcache *cache, unsigned *size_class)
{
    size_t count = blocks_in(cache, *size_class);
    for (unsigned i = 1; i <= CACHE_NEAR && class_is_large(*size_class); i++) {
        unsigned below = *size_class - i;
        if (!class_is_large(below)) {
            break;
        }
        size_t slots = cache->capacity[below] - blocks_in(cache, below);
        if (slots > 0 && count == 0) {
            *size_class = below;
            return true;
        }
        if (slots > 0) {
            move_oldest(cache, *size_class, below,
                        min_size((slots + 1) / 2, (count + 1) / 2));
            return true;
        }
    }
    return false;
}

/* A thread that only frees wants none of its objects back soon: that matters
 * where there are many. Chunks are worth more together: those side by side are
 * merged at once. */
static bool has_too_many_slots(const struct tcache *cache, unsigned size_class)
{
    return cache->overflows >= CACHE_OVERFLOWS && class_is_run(size_class) &&
           cache->capacity_bytes > CACHE_BYTES_ALWAYS &&
           caches_bytes() > CACHES_BYTES_FREEING &&
           2 * cache->capacity[size_class] * class_size(size_class) >
               CLASS_BYTES_FREEING;
}

/* Half of the slots go, if they are not too few then, and half of the rest is
 * free. */
static void take_some_slots_away(struct tcache *cache, unsigned size_class)
{
    unsigned capacity = cache->capacity[size_class];
    if (capacity * class_size(size_class) > CLASS_BYTES_FREEING) {
        capacity /= 2;
    }
    size_t keep = capacity / CACHE_MAGAZINES;
    give_oldest(cache, size_class, blocks_in(cache, size_class) - keep, NULL);
    set_capacity(cache, size_class, capacity);
}

/* True when the class has a free slot now, or another that serves: the caller
 * learns which. */
static bool make_slot(struct tcache *cache, unsigned *size_class)
{
    cache->overflows++;
    if (has_too_many_slots(cache, *size_class)) {
        take_some_slots_away(cache, *size_class);
        return true;
    }
    if (raise_capacity(cache, *size_class)) {
        return true;
    }
    if (find_slot_near(cache, size_class)) {
        return true;
    }
    if (cache->capacity[*size_class] < class_slots(*size_class)) {
        take_unused_slots(cache, *size_class, NULL);
        if (raise_capacity(cache, *size_class)) {
            return true;
        }
    }
    size_t count = blocks_in(cache, *size_class);
    if (count > 0) {
        give_oldest(cache, *size_class, (count + 1) / CACHE_MAGAZINES, NULL);
        return true;
    }
    make_room(cache, *size_class);
    return raise_capacity(cache, *size_class);
}

static bool page_is_watched(const void *mem)
{
    return (heap_page_byte(heap_for_ptr(mem), mem) & RUN_WATCHED) != 0;
}

void tcache_overflow(void *mem)
{
    struct tcache *cache = tcache_self();
    unsigned size_class = block_class(mem);
    if (class_is_run(size_class) && page_is_watched(mem)) {
        count_watched(cache, arena_numbered(cache->owner), mem);
    }
    match_tags(cache); /* another thread of the arena may have changed them */
    block_take_back(mem, size_class);
    begin_slow(cache);
    note_use(cache, size_class);
    if (has_slot(cache, size_class) || make_slot(cache, &size_class)) {
        add_block(cache, size_class, mem);
    } else {
        give_blocks(cache, size_class, &mem, 1);
    }
    end_slow(cache);
}

/* ---- life ---------------------------------------------------------------- */

static void use_cache(const struct tcache *cache)
{
    tcache_distance =
        (char *)(uintptr_t)cache - (char *)(uintptr_t)&tcache_none;
}

void tcache_create(void)
{
    if (!is_none(tcache_self()) || option_get(OPTION_TCACHE_MAX) == 0 ||
        option_get(OPTION_HARDENED) != 0) {
        return;
    }
    struct tcache *cache = caches_map();
    if (cache == NULL) {
        return;
    }
    *cache = tcache_none;
    cache->no_objects[0] = tcache_bottom(cache);
    cache->next_array = FIRST_ARRAY;
    cache->capacity_limit = CACHE_BYTES_MIN;
    cache->thread = os_thread();
    caches_list(cache);
    use_cache(cache);
}

void tcache_destroy(void)
{
    struct tcache *cache = tcache_self();
    if (!is_none(cache)) {
        tcache_flush();
        use_cache(&tcache_none);
        begin_slow(cache); /* and never ends */
        caches_count(0, cache->capacity_bytes);
        caches_unlist(cache);
        caches_await_visitor(cache);
        caches_unmap(cache, cache->next_array * SLOT_SIZE);
        bell_ring();
    }
}

void tcache_after_fork(void)
{
    struct tcache *cache = tcache_self();
    if (!is_none(cache)) {
        cache->thread = os_thread();
    }
    caches_after_fork(cache->capacity_bytes - cache->missed);
}

/* Sends all blocks of the class to their arena in `parcel`, and in as many more
 * as they fill; returns the one that has room, or NULL when there is no memory
 * for it. Some blocks are still in the cache then. The caller has a lock, so
 * nobody's inbox is looked into. */
static struct parcel *send_class(struct tcache *cache, unsigned size_class,
                                 struct parcel *parcel)
{
    size_t count = blocks_in(cache, size_class);
    while (count > 0 && parcel != NULL) {
        void *mem = blocks_of(cache, size_class)[--count];
        parcel_add(parcel, mem, size_class);
        set_count(cache, size_class, count);
        if (parcel->count == PARCEL_BLOCKS) {
            push_parcel(arena_numbered(cache->owner), parcel);
            parcel = parcel_get();
        }
    }
    return parcel;
}

/* False when some are left, for want of memory. */
static bool send_all_classes(struct tcache *cache)
{
    if (cache->owner == OWNER_NONE || cache->is_mixed) {
        return true;
    }
    struct parcel *parcel = parcel_get();
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
        parcel = send_class(cache, size_class, parcel);
    }
    if (parcel != NULL) {
        push_parcel(arena_numbered(cache->owner), parcel);
    }
    return parcel != NULL;
}

static void move_to(struct tcache *cache, struct arena *arena)
{
    if (!send_all_classes(cache)) {
        return;
    }
    cache->owner = arena->number;
    match_tags(cache);
    forget_trade(cache);
    struct outbox *box = &cache->outboxes[arena->number % OUTBOXES];
    if (box->owner == arena->number) {
        push_parcel(arena, close_outbox(box));
    }
}

void tcache_follow(struct arena *arena)
{
    struct tcache *cache = tcache_self();
    if (cache->owner == arena->number || is_none(cache)) {
        return;
    }
    begin_slow(cache);
    move_to(cache, arena);
    end_slow(cache);
}

const struct description tcache_description[] = {
    DESCRIBE_ADDRESS("caches", caches_listed),
    DESCRIBE_NUMBER("CACHES", CACHES_LISTED),
    DESCRIBE_ADDRESS("spares", caches_spare),
    DESCRIBE_NUMBER("SPARES", CACHE_SPARES),
    DESCRIBE_NUMBER("CACHE_MAP", CACHE_MAP_SIZE),
    DESCRIBE_PART("cache.top_place", struct tcache, top),
    DESCRIBE_PART("cache.base_place", struct tcache, base),
    DESCRIBE_PART("cache.owner", struct tcache, owner),
    DESCRIBE_PART("cache.thread", struct tcache, thread),
    DESCRIBE_PART("cache.outboxes", struct tcache, outboxes),
    DESCRIBE_NUMBER("OUTBOXES", OUTBOXES),
    DESCRIBE_NUMBER("outbox.size", sizeof(struct outbox)),
    DESCRIBE_PART("outbox.next", struct outbox, next),
    DESCRIBE_PART("outbox.owner", struct outbox, owner),
    DESCRIBE_NUMBER("OUTBOX_CLOSED", OWNER_NONE),
    {.name = ""},
};
