#include "tcache.h"

#include <string.h>

#include "arenas.h"
#include "fatal.h"
#include "options.h"
#include "os.h"

enum {
    SLOT_SIZE = sizeof(void *),
    ARRAY_EXTRA = 2, /* NULL and END */
    NONE = offsetof(struct tcache, none),
    /* Enough for every class at its largest, with what doubling leaves
     * behind; untouched pages cost nothing. */
    CACHE_MAP_SIZE = 192 << 10,
};

_Static_assert(CACHE_MAGAZINES *MAGAZINE_MAX < 256, "capacities are bytes");

/* Never written: every store is behind a test that it fails. */
const struct tcache tcache_none = {
    .top = {[0 ... CLASS_COUNT - 1] = NONE},
    .owner = OWNER_NONE,
    .none = {NULL, TCACHE_END},
    .base = {[0 ... CLASS_COUNT - 1] = NONE},
};

PTM_TLS ptrdiff_t tcache_distance;

struct tcache_limits tcache_limits = {
    .small_span = SMALL_CLASS_MAX - 2 * sizeof(size_t),
    .request = DEFAULT_TCACHE_MAX - sizeof(size_t) + 1,
    .small_low = SMALL_CLASS_MAX + MALLOC_ALIGNMENT,
    .low = DEFAULT_TCACHE_MAX + MALLOC_ALIGNMENT,
};

static bool is_bypassed;

void tcache_bypass(bool bypass)
{
    __atomic_store_n(&is_bypassed, bypass, __ATOMIC_RELAXED);
    tcache_set_limits();
}

void tcache_set_limits(void)
{
    size_t most = min_size(option_get(OPTION_TCACHE_MAX), CACHED_CHUNK_MAX);
    bool off = __atomic_load_n(&is_bypassed, __ATOMIC_RELAXED) ||
               option_get(OPTION_PERTURB) != 0;
    size_t chunk =
        off || most < MIN_CHUNK_SIZE ? 0 : class_size(class_joined_by(most));
    struct tcache_limits limits = {0};
    if (chunk > 0) {
        size_t small = min_size(chunk, SMALL_CLASS_MAX);
        limits.small_span = small - 2 * sizeof(size_t);
        limits.request = chunk - sizeof(size_t) + 1;
        limits.small_low = (uint32_t)(small + MALLOC_ALIGNMENT);
        limits.low = (uint32_t)(chunk + MALLOC_ALIGNMENT);
    }
    __atomic_store_n(&tcache_limits.small_span, limits.small_span,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&tcache_limits.request, limits.request, __ATOMIC_RELAXED);
    __atomic_store_n(&tcache_limits.small_low, limits.small_low,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&tcache_limits.low, limits.low, __ATOMIC_RELAXED);
}

static bool is_none(const struct tcache *cache)
{
    return cache == &tcache_none;
}

/* ---- arrays -------------------------------------------------------------- */

static size_t blocks_in(const struct tcache *cache, unsigned size_class)
{
    return (cache->top[size_class] - cache->base[size_class]) / SLOT_SIZE;
}

/* The oldest block's slot. */
static void **blocks_of(struct tcache *cache, unsigned size_class)
{
    return tcache_slot(cache, cache->base[size_class]) + 1;
}

/* Now holds the first `count` of its blocks. */
static void set_count(struct tcache *cache, unsigned size_class, size_t count)
{
    cache->top[size_class] =
        cache->base[size_class] + (uint32_t)(count * SLOT_SIZE);
}

static void set_capacity(struct tcache *cache, unsigned size_class,
                         unsigned capacity)
{
    uint32_t size = (uint32_t)class_size(size_class);
    unsigned before = cache->capacity[size_class];
    cache->capacity_bytes += capacity * size - before * size;
    cache->capacity[size_class] = (uint8_t)capacity;
    if (before > 0) {
        blocks_of(cache, size_class)[before] = NULL;
    }
    if (capacity == 0) {
        cache->base[size_class] = NONE;
        cache->top[size_class] = NONE;
    } else {
        blocks_of(cache, size_class)[capacity] = TCACHE_END;
    }
}

/* Room for an array of `capacity` slots, in the class's array or a new one.
 * False when the cache has no room left. Arrays are never freed: a class has
 * at most seven, each twice as large as the one before. */
static bool ensure_slots(struct tcache *cache, unsigned size_class,
                         unsigned capacity)
{
    if (cache->slots[size_class] >= capacity) {
        return true;
    }
    size_t bytes = (capacity + ARRAY_EXTRA) * (size_t)SLOT_SIZE;
    if (cache->next_array + bytes > CACHE_MAP_SIZE) {
        return false;
    }
    cache->array[size_class] = cache->next_array;
    cache->slots[size_class] = (uint8_t)capacity;
    cache->next_array += (uint32_t)bytes;
    return true;
}

static unsigned next_capacity(const struct tcache *cache, unsigned size_class)
{
    unsigned most = CACHE_MAGAZINES * class_magazine_size(size_class);
    unsigned now = cache->capacity[size_class];
    unsigned next = now == 0 ? CACHE_FIRST_SLOTS : 2 * now;
    return next < most ? next : most;
}

static bool may_hold(const struct tcache *cache, unsigned size_class,
                     unsigned capacity)
{
    size_t more =
        (capacity - cache->capacity[size_class]) * class_size(size_class);
    return cache->capacity_bytes + more <= CACHE_BYTES_MAX;
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
    size_t count = blocks_in(cache, size_class);
    void **blocks = blocks_of(cache, size_class);
    uint32_t base = cache->array[size_class];
    if (base != cache->base[size_class]) {
        *tcache_slot(cache, base) = NULL;
        memcpy(tcache_slot(cache, base) + 1, blocks, count * SLOT_SIZE);
        cache->base[size_class] = base;
        set_count(cache, size_class, count);
    }
    set_capacity(cache, size_class, capacity);
    return true;
}

/* ---- going home ------------------------------------------------------------
 */

/* Blocks of one arena, linked, ready for its inbox. */
struct chain {
    struct chunk *first;
    struct chunk *last;
    size_t bytes;
};

static struct chain chain_of(void *const *mems, size_t count)
{
    struct chain chain = {mem2chunk(mems[0]), mem2chunk(mems[count - 1]),
                          chunk_size(mem2chunk(mems[count - 1]))};
    for (size_t i = 0; i + 1 < count; i++) {
        struct chunk *chunk = mem2chunk(mems[i]);
        chain.bytes += chunk_size(chunk);
        chunk_set_next_sent(chunk, mem2chunk(mems[i + 1]));
    }
    return chain;
}

/* Says whether much waits there now: more, by far, than threads of the arena
 * would leave that come by now and then. */
static bool push_chain(struct arena *arena, const struct chain *chain)
{
    size_t waiting =
        inbox_push(&arena->inbox, chain->first, chain->last, chain->bytes);
    return waiting >= INBOX_BYTES && waiting <= PTRDIFF_MAX;
}

/* Where nobody looks into the inbox, or not often enough, whoever sends to it
 * does, and sorts more than it has sent. */
static void send_chain(unsigned owner, const struct chain *chain)
{
    struct arena *arena = arena_numbered(owner);
    bool is_full = push_chain(arena, chain);
    if ((is_full || !arenas_has_threads(arena)) && !arena->is_abandoned &&
        lock_try(&arena->lock)) {
        arena_sort_arrivals(arena, 2 * OUTBOX_BLOCKS);
        arena_release(arena);
    }
}

static void send_outbox(struct outbox *box)
{
    if (box->first != NULL) {
        struct chain chain = {box->first, box->last, box->bytes};
        send_chain(box->owner, &chain);
    }
    *box = (struct outbox){0};
}

static void send_all_outboxes(struct tcache *cache)
{
    cache->slow_calls = 0;
    for (unsigned i = 0; i < OUTBOXES; i++) {
        send_outbox(&cache->outboxes[i]);
    }
}

void tcache_tick(void)
{
    struct tcache *cache = tcache_self();
    if (!is_none(cache) && ++cache->slow_calls >= OUTBOX_PATIENCE) {
        send_all_outboxes(cache);
    }
}

/* The last of the chain is its first block: the links lead back in time. */
bool tcache_free_remote(void *mem)
{
    struct tcache *cache = tcache_self();
    struct chunk *chunk = mem2chunk(mem);
    unsigned owner = owner_of(chunk);
    if (unlikely(owner == 0 || owner == cache->owner || is_none(cache))) {
        return false;
    }
    uint32_t low = chunk_low(chunk);
    uint32_t seal = chunk_seal_in_use(chunk, low);
    /* A direct mapping may lie in the 64 MiB of a heap that reserved less; its
     * size field is 0. */
    if (unlikely(chunk_seal(chunk) != seal ||
                 low >= tcache_low_limit(&tcache_limits.low) ||
                 low < MIN_CHUNK_SIZE)) {
        return false;
    }
    struct outbox *box = &cache->outboxes[owner % OUTBOXES];
    if (unlikely(box->owner != owner)) {
        send_outbox(box);
        box->owner = owner;
        box->last = chunk;
    }
    chunk_store_seal(chunk, seal ^ seal_keys.cached);
    chunk_set_next_sent(chunk, box->first);
    box->first = chunk;
    box->bytes += (uint32_t)word_size(low);
    if (unlikely(++box->count >= OUTBOX_BLOCKS || box->bytes >= OUTBOX_BYTES)) {
        send_outbox(box);
    }
    return true;
}

/* Gives the oldest `count` blocks of the class to their arena: to its depot if
 * the lock can be had soon, else to its inbox. */
static void give_oldest(struct tcache *cache, unsigned size_class, size_t count)
{
    struct arena *arena = arena_numbered(cache->owner);
    void **mems = blocks_of(cache, size_class);
    if (lock_try_patiently(&arena->lock)) {
        arena_sort_arrivals(arena, SLOW_STEP);
        arena_give(arena, size_class, mems, count);
        arena_release(arena);
    } else {
        struct chain chain = chain_of(mems, count);
        send_chain(cache->owner, &chain);
    }
    size_t left = blocks_in(cache, size_class) - count;
    memmove(mems, mems + count, left * SLOT_SIZE);
    set_count(cache, size_class, left);
}

static void give_class(struct tcache *cache, unsigned size_class)
{
    size_t count = blocks_in(cache, size_class);
    if (count > 0) {
        give_oldest(cache, size_class, count);
    }
}

static void give_all(struct tcache *cache)
{
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
        give_class(cache, size_class);
    }
}

void tcache_flush(void)
{
    struct tcache *cache = tcache_self();
    if (!is_none(cache)) {
        give_all(cache);
        send_all_outboxes(cache);
    }
}

/* ---- slow paths of malloc and free -----------------------------------------
 */

/* Takes the slots of another class away, so that this one can have some. */
static void make_room(struct tcache *cache, unsigned size_class)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        cache->hand = (cache->hand + 1) % CLASS_COUNT;
        if (cache->hand != size_class && cache->capacity[cache->hand] > 0) {
            give_class(cache, cache->hand);
            set_capacity(cache, cache->hand, 0);
            return;
        }
    }
}

struct chunk *tcache_refill(struct arena *arena, unsigned size_class)
{
    struct tcache *cache = tcache_self();
    void *mems[MAGAZINE_MAX];
    ptm_assert(cache->owner == arena->number);
    size_t count = blocks_in(cache, size_class);
    if (unlikely(count > 0)) {
        /* The limits have changed since the cache was asked. */
        void *mem = blocks_of(cache, size_class)[count - 1];
        set_count(cache, size_class, count - 1);
        chunk_flip_cached(mem2chunk(mem));
        arena->zero_from = NULL;
        return mem2chunk(mem);
    }
    raise_capacity(cache, size_class);
    size_t wanted = max_size(cache->capacity[size_class] / CACHE_MAGAZINES, 1);
    arena_sort_arrivals(arena, SLOW_STEP);
    size_t got = arena_take(arena, size_class, mems, wanted);
    if (got == 0) {
        return NULL;
    }
    struct chunk *chunk = mem2chunk(mems[0]);
    chunk_flip_cached(chunk);
    for (size_t i = 1; i < got; i++) {
        blocks_of(cache, size_class)[i - 1] = mems[got - i];
    }
    if (got > 1) {
        set_count(cache, size_class, got - 1);
    }
    return chunk;
}

/* True when the class has a free slot now. */
static bool make_slot(struct tcache *cache, unsigned size_class)
{
    if (raise_capacity(cache, size_class)) {
        return true;
    }
    size_t count = blocks_in(cache, size_class);
    if (count > 0) {
        give_oldest(cache, size_class, (count + 1) / CACHE_MAGAZINES);
        return true;
    }
    make_room(cache, size_class);
    return raise_capacity(cache, size_class);
}

void tcache_overflow(struct chunk *chunk)
{
    struct tcache *cache = tcache_self();
    unsigned size_class = class_joined_by(chunk_size(chunk));
    chunk_flip_cached(chunk);
    if (!make_slot(cache, size_class)) {
        void *mem = chunk2mem(chunk);
        struct chain chain = chain_of(&mem, 1);
        send_chain(cache->owner, &chain);
        return;
    }
    size_t count = blocks_in(cache, size_class);
    ptm_assert(count < cache->capacity[size_class]);
    blocks_of(cache, size_class)[count] = chunk2mem(chunk);
    set_count(cache, size_class, count + 1);
}

/* ---- life
 * --------------------------------------------------------------------- */

static void use_cache(const struct tcache *cache)
{
    tcache_distance =
        (char *)(uintptr_t)cache - (char *)(uintptr_t)&tcache_none;
}

void tcache_create(void)
{
    if (!is_none(tcache_self()) || option_get(OPTION_TCACHE_MAX) == 0) {
        return;
    }
    struct tcache *cache = os_map(CACHE_MAP_SIZE);
    if (cache == NULL) {
        return;
    }
    *cache = tcache_none;
    cache->next_array = round_up(sizeof *cache, 64);
    use_cache(cache);
}

void tcache_destroy(void)
{
    struct tcache *cache = tcache_self();
    if (!is_none(cache)) {
        tcache_flush();
        use_cache(&tcache_none);
        os_unmap(cache, CACHE_MAP_SIZE);
    }
}

void tcache_follow(const struct arena *arena)
{
    struct tcache *cache = tcache_self();
    if (cache->owner == arena->number || is_none(cache)) {
        return;
    }
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
        size_t count = blocks_in(cache, size_class);
        if (count > 0) {
            struct chain chain = chain_of(blocks_of(cache, size_class), count);
            push_chain(arena_numbered(cache->owner), &chain);
            set_count(cache, size_class, 0);
        }
    }
    cache->owner = arena->number;
}
