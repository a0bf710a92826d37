#include "sleepers.h"

#include "arenas.h"
#include "bell.h"
#include "caches.h"
#include "os.h"
#include "tcache.h"

/* What a cache was like when it was looked at last. */
struct look {
    const struct tcache *cache;
    uint64_t time;    /* that the thread has run */
    uint32_t sum;     /* of the places in `top` */
    uint32_t in_vain; /* so many looks ago it was the same */
};

static PTM_SPARSE struct look looks[CACHES_LISTED];

static struct {
    bool is_expected; /* atomic, as is the other */
    bool is_quiet;
} sleepers;

void sleepers_expect(void)
{
    __atomic_store_n(&sleepers.is_expected, true, __ATOMIC_RELAXED);
}

bool sleepers_are_expected(void)
{
    return __atomic_load_n(&sleepers.is_expected, __ATOMIC_RELAXED);
}

void sleepers_be_quiet(void)
{
    __atomic_store_n(&sleepers.is_quiet, true, __ATOMIC_RELAXED);
}

/* Without a helper, who makes a step is a thread of the program's, which has no
 * time for others. */
static bool may_not_visit(void)
{
    return __atomic_load_n(&sleepers.is_quiet, __ATOMIC_RELAXED) ||
           !bell_has_helper();
}

/* ---- looking -------------------------------------------------------------
 */

/* A word that the thread writes as a plain one, and may be writing: here it is
 * a hint, or a barrier says what it is worth. The thread sanitizer knows
 * neither, and tells atomic loads too, wherever they are. */
__attribute__((no_sanitize("thread"))) static size_t
see_place(const uint16_t *place)
{
    return *(const volatile uint16_t *)place;
}

static size_t place_of_top(const struct tcache *cache, unsigned size_class)
{
    return see_place(&cache->top[size_class]);
}

static size_t place_of_base(const struct tcache *cache, unsigned size_class)
{
    return see_place(&cache->base[size_class]);
}

/* All but the newest block. The thread may be about to change both places, so
 * that they belong to different arrays. */
static size_t takeable(const struct tcache *cache, unsigned size_class)
{
    size_t top = place_of_top(cache, size_class);
    size_t base = place_of_base(cache, size_class);
    return top > base && top - base <= CACHE_MAGAZINES * MAGAZINE_MAX
               ? top - base - 1
               : 0;
}

static size_t takeable_bytes(const struct tcache *cache)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        bytes += takeable(cache, i) * class_size(i);
    }
    return bytes;
}

static struct look look_into(const struct tcache *cache)
{
    struct look look = {.cache = cache};
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        look.sum = look.sum * SLEEPER_FACTOR + (uint32_t)place_of_top(cache, i);
    }
    look.time = os_thread_time(cache->thread);
    return look;
}

static bool is_alike(const struct look *one, const struct look *other)
{
    return one->cache == other->cache && one->sum == other->sum;
}

/* A cache that holds enough, or a look at nothing. */
static struct look look_in_place(size_t place)
{
    struct look look = {.cache = NULL};
    const struct tcache *cache = caches_visit(place);
    if (cache != NULL) {
        if (takeable_bytes(cache) >= SLEEPER_BYTES) {
            look = look_into(cache);
        }
        caches_leave();
    }
    return look;
}

/* Whether the thread in this place has slept since the last look, and has
 * enough. Else it is looked at once more; but not for ever if all that it does
 * is to run. */
static bool is_worth_a_visit(size_t place)
{
    struct look before = looks[place];
    struct look now = look_in_place(place);
    if (now.cache == NULL && before.cache == NULL) {
        return false;
    }
    bool has_slept = is_alike(&before, &now) && before.time == now.time;
    now.in_vain = is_alike(&before, &now) ? before.in_vain + 1 : 0;
    looks[place] = now;
    if (now.cache != NULL && !has_slept && now.in_vain < SLEEPER_LOOKS) {
        sleepers_expect();
    }
    return now.cache != NULL && has_slept;
}

/* ---- taking --------------------------------------------------------------
 */

static void *load_slot(void **slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static bool swap_slot(void **slot, void *from, void *to)
{
    return __atomic_compare_exchange_n(slot, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* Step 2, for a class that has two blocks at least. It is written down before
 * it is done. */
static void put_aside(struct tcache *cache, unsigned size_class)
{
    size_t base = place_of_base(cache, size_class);
    size_t cut = place_of_top(cache, size_class) - 1;
    void **slot = tcache_slot(cache, cut);
    void *mem = load_slot(slot);
    void *bottom = tcache_bottom_of(cache, size_class);
    struct taken_out *taken = &caches_visited.taken[caches_visited.count];
    if (cut <= base || mem == bottom || mem == NULL || mem == TCACHE_END) {
        return;
    }
    *taken = (struct taken_out){
        .slot = slot,
        .mem = mem,
        .bottom = bottom,
        .base = &cache->base[size_class],
        .place = (uint16_t)cut,
    };
    __atomic_store_n(&caches_visited.count, caches_visited.count + 1,
                     __ATOMIC_RELEASE);
    if (!swap_slot(slot, mem, bottom)) {
        __atomic_store_n(&caches_visited.count, caches_visited.count - 1,
                         __ATOMIC_RELEASE);
    }
}

static unsigned class_of(const struct tcache *cache,
                         const struct taken_out *taken)
{
    return (unsigned)(taken->base - cache->base);
}

/* Writes down what is the visitor's now; false when there is no memory for
 * that. */
static bool pack_up(struct tcache *cache, const struct taken_out *taken,
                    struct parcel **parcels)
{
    unsigned size_class = class_of(cache, taken);
    size_t base = place_of_base(cache, size_class);
    struct parcel *parcel = *parcels;
    if (parcel == NULL ||
        parcel->count + (taken->place - base) > PARCEL_BLOCKS) {
        parcel = parcel_get();
        if (parcel == NULL) {
            return false;
        }
        parcel_set_next(parcel, *parcels);
        *parcels = parcel;
    }
    for (size_t place = base + 1; place < taken->place; place++) {
        parcel_add(parcel, load_slot(tcache_slot(cache, place)), size_class);
    }
    parcel_add(parcel, taken->mem, size_class);
    return true;
}

/* Up to the place the array is the visitor's; from then on it begins there. */
static void raise_base(struct tcache *cache, const struct taken_out *taken)
{
    unsigned size_class = class_of(cache, taken);
    size_t slots = taken->place - place_of_base(cache, size_class);
    size_t bytes = slots * class_size(size_class);
    __atomic_store_n(&cache->was_visited, true, __ATOMIC_RELAXED);
    __atomic_store_n(&cache->base[size_class], taken->place, __ATOMIC_RELEASE);
    cache->missed += (uint32_t)bytes;
    caches_count(0, bytes);
}

/* Steps 3 to 6. */
static struct parcel *take_what_was_put_aside(struct tcache *cache)
{
    struct parcel *parcels = NULL;
    bool is_above[CLASS_COUNT];
    size_t count = caches_visited.count;
    bool is_certain = os_barrier_everywhere();
    for (size_t i = 0; i < count; i++) {
        const struct taken_out *taken = &caches_visited.taken[i];
        is_above[i] =
            place_of_top(cache, class_of(cache, taken)) > taken->place;
    }
    is_certain = is_certain && os_barrier_everywhere();
    for (size_t i = 0; i < count; i++) {
        const struct taken_out *taken = &caches_visited.taken[i];
        if (is_certain && is_above[i] &&
            load_slot(taken->slot) == taken->bottom &&
            pack_up(cache, taken, &parcels)) {
            raise_base(cache, taken);
        } else {
            swap_slot(taken->slot, taken->bottom, taken->mem);
        }
    }
    __atomic_store_n(&caches_visited.count, 0, __ATOMIC_RELEASE);
    return parcels;
}

/* What can be taken of a cache that is visited. */
static struct parcel *take_blocks_of(struct tcache *cache)
{
    if (!os_barrier_everywhere()) {
        sleepers_be_quiet();
        return NULL;
    }
    if (__atomic_load_n(&cache->busy, __ATOMIC_ACQUIRE) != 0) {
        return NULL;
    }
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        if (takeable(cache, i) > 0) {
            put_aside(cache, i);
        }
    }
    return caches_visited.count > 0 ? take_what_was_put_aside(cache) : NULL;
}

/* Those that have the owner of the last come to the end; returns where they
 * begin. */
static size_t gather_last(struct parcel *parcel, unsigned owner)
{
    size_t from = parcel->count;
    for (size_t i = parcel->count; i-- > 0;) {
        uint64_t entry = parcel->entries[i];
        if (owner_of(entry_mem(entry)) == owner) {
            parcel->entries[i] = parcel->entries[--from];
            parcel->entries[from] = entry;
        }
    }
    return from;
}

/* An arena that was lost to a fork takes nothing. */
static void free_those_of_last(struct parcel *parcel)
{
    unsigned owner = owner_of(entry_mem(parcel->entries[parcel->count - 1]));
    struct arena *arena = arena_numbered(owner);
    size_t from = gather_last(parcel, owner);
    bool more = true;
    while (more && arena_acquire(arena)) {
        more = arena_free_parcel(arena, parcel, from);
        arena_release(arena);
    }
    parcel->count = from;
}

/* A thread's cache may have blocks of several arenas: see tcache.h. */
static void send_home(struct parcel *parcels)
{
    while (parcels != NULL) {
        struct parcel *parcel = parcels;
        parcels = parcel_next(parcel);
        while (parcel->count > 0) {
            free_those_of_last(parcel);
        }
        parcel_put(parcel);
    }
}

bool sleepers_rob(size_t place)
{
    struct tcache *cache = caches_visit(place);
    if (cache == NULL) {
        return false;
    }
    struct parcel *parcels = take_blocks_of(cache);
    caches_leave();
    send_home(parcels);
    return parcels != NULL;
}

bool sleepers_step(size_t *place)
{
    if (*place == 0) {
        __atomic_store_n(&sleepers.is_expected, false, __ATOMIC_RELAXED);
    }
    while (*place < CACHES_LISTED && !may_not_visit()) {
        size_t at = (*place)++;
        if (is_worth_a_visit(at) && sleepers_rob(at)) {
            return true;
        }
    }
    *place = CACHES_LISTED;
    return false;
}
