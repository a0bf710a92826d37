#include "caches.h"

#include <string.h>

#include "os.h"

/* What the slots of all caches can hold, and may, in bytes. */
static struct {
    size_t bytes;
    size_t most;
} all_caches = {.most = CACHES_BYTES_MIN};

struct tcache *caches_spare[CACHE_SPARES];
PTM_SPARSE struct tcache *caches_listed[CACHES_LISTED];
struct caches_visited caches_visited = {
    .lock = LOCK_INITIAL(LOCK_RANK_VISIT),
};

/* ---- how much ------------------------------------------------------------ */

size_t caches_bytes(void)
{
    return __atomic_load_n(&all_caches.bytes, __ATOMIC_RELAXED);
}

/* In a child of fork the sum begins anew, perhaps after handlers of others have
 * made threads: so it may be too small for a while, but not less than none. */
void caches_count(size_t more, size_t less)
{
    size_t before = caches_bytes();
    size_t now;
    do {
        now = before + more;
        now -= min_size(now, less);
    } while (!__atomic_compare_exchange_n(&all_caches.bytes, &before, now, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

bool caches_may_grow(size_t more)
{
    return caches_bytes() + more <=
           __atomic_load_n(&all_caches.most, __ATOMIC_RELAXED);
}

void caches_note_live(size_t live)
{
    size_t most = max_size(CACHES_BYTES_MIN, live / CACHES_BYTES_SHARE);
    __atomic_store_n(&all_caches.most, most, __ATOMIC_RELAXED);
}

void caches_after_fork(size_t bytes)
{
    __atomic_store_n(&all_caches.bytes, bytes, __ATOMIC_RELAXED);
}

/* ---- memory -------------------------------------------------------------- */

static struct tcache *take_spare_cache(void)
{
    for (size_t i = 0; i < CACHE_SPARES; i++) {
        if (__atomic_load_n(&caches_spare[i], __ATOMIC_RELAXED) != NULL) {
            struct tcache *cache =
                __atomic_exchange_n(&caches_spare[i], NULL, __ATOMIC_ACQUIRE);
            if (cache != NULL) {
                return cache;
            }
        }
    }
    return NULL;
}

/* It is zero. False when there is no place. */
static bool keep_spare_cache(struct tcache *cache)
{
    for (size_t i = 0; i < CACHE_SPARES; i++) {
        struct tcache *none = NULL;
        if (__atomic_compare_exchange_n(&caches_spare[i], &none, cache, false,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
            return true;
        }
    }
    return false;
}

struct tcache *caches_map(void)
{
    struct tcache *cache = take_spare_cache();
    return cache != NULL ? cache : os_map_fenced(CACHE_MAP_SIZE);
}

void caches_unmap(struct tcache *cache, size_t used)
{
    memset((void *)cache, 0, used);
    if (!keep_spare_cache(cache)) {
        os_unmap_fenced(cache, CACHE_MAP_SIZE);
    }
}

/* True if the place had one, and it was the one given, if any. */
static bool drop_spare_cache(size_t i, const struct tcache *only)
{
    struct tcache *cache = __atomic_load_n(&caches_spare[i], __ATOMIC_RELAXED);
    if (cache == NULL || (only != NULL && cache != only) ||
        !__atomic_compare_exchange_n(&caches_spare[i], &cache, NULL, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return false;
    }
    if (!os_unmap_fenced(cache, CACHE_MAP_SIZE)) {
        keep_spare_cache(cache);
    }
    return true;
}

bool caches_drop_spares(void)
{
    bool any = false;
    for (size_t i = 0; i < CACHE_SPARES; i++) {
        any |= drop_spare_cache(i, NULL);
    }
    return any;
}

void caches_expire_spares(void)
{
    static struct tcache *seen[CACHE_SPARES];
    for (size_t i = 0; i < CACHE_SPARES; i++) {
        if (seen[i] != NULL) {
            drop_spare_cache(i, seen[i]);
        }
        seen[i] = __atomic_load_n(&caches_spare[i], __ATOMIC_RELAXED);
    }
}

bool caches_have_spares(void)
{
    for (size_t i = 0; i < CACHE_SPARES; i++) {
        if (__atomic_load_n(&caches_spare[i], __ATOMIC_RELAXED) != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- the list ------------------------------------------------------------ */

void caches_list(struct tcache *cache)
{
    for (size_t i = 0; i < CACHES_LISTED; i++) {
        struct tcache *none = NULL;
        if (__atomic_load_n(&caches_listed[i], __ATOMIC_RELAXED) == NULL &&
            __atomic_compare_exchange_n(&caches_listed[i], &none, cache, false,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
            return;
        }
    }
}

void caches_unlist(const struct tcache *cache)
{
    for (size_t i = 0; i < CACHES_LISTED; i++) {
        if (__atomic_load_n(&caches_listed[i], __ATOMIC_RELAXED) == cache) {
            __atomic_store_n(&caches_listed[i], NULL, __ATOMIC_SEQ_CST);
            return;
        }
    }
}

/* ---- visits -------------------------------------------------------------- */

static void acquire_visit(void)
{
    while (!lock_acquire(&caches_visited.lock)) {
        caches_after_fork_in_visit();
    }
}

static struct tcache *listed_at(size_t place)
{
    return __atomic_load_n(&caches_listed[place], __ATOMIC_SEQ_CST);
}

static void set_visited(struct tcache *cache)
{
    __atomic_store_n(&caches_visited.cache, cache, __ATOMIC_SEQ_CST);
}

struct tcache *caches_visit(size_t place)
{
    struct tcache *cache = listed_at(place);
    if (cache == NULL) {
        return NULL;
    }
    acquire_visit();
    set_visited(cache);
    if (listed_at(place) != cache) {
        caches_leave();
        return NULL;
    }
    return cache;
}

void caches_leave(void)
{
    set_visited(NULL);
    lock_release(&caches_visited.lock);
}

void caches_await_visitor(const struct tcache *cache)
{
    while (__atomic_load_n(&caches_visited.cache, __ATOMIC_SEQ_CST) == cache) {
        acquire_visit();
        lock_release(&caches_visited.lock);
    }
}

static void put_back_what_was_taken(void)
{
    for (size_t i = 0; i < caches_visited.count; i++) {
        const struct taken_out *taken = &caches_visited.taken[i];
        if (*taken->base != taken->place && *taken->slot == taken->bottom) {
            *taken->slot = taken->mem;
        }
    }
    caches_visited.count = 0;
}

void caches_after_fork_in_visit(void)
{
    if (lock_is_confirmed(&caches_visited.lock)) {
        return;
    }
    if (lock_is_orphaned(&caches_visited.lock)) {
        put_back_what_was_taken();
        set_visited(NULL);
        lock_reset(&caches_visited.lock);
    }
    lock_confirm(&caches_visited.lock);
}
