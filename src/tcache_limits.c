#include "tcache_limits.h"

#include "options.h"

_Static_assert(DEFAULT_TCACHE_MAX == DEFAULT_MMAP_THRESHOLD &&
                   DEFAULT_TCACHE_MAX + CLASS_EXTRA == CACHED_CHUNK_MAX,
               "all is cached that is not mapped");

struct tcache_limits tcache_limits = {
    .small = RUN_OBJECT_MAX + 1,
    .resized = DEFAULT_MMAP_THRESHOLD - 1,
    .run_class = CLASS_COUNT,
    .small_low = TCACHE_LARGE_LOW,
    .low = CACHED_CHUNK_MAX + MALLOC_ALIGNMENT,
    .remote_span = TCACHE_LARGE_LOW - MIN_CHUNK_SIZE,
    .large_span = DEFAULT_MMAP_THRESHOLD - (RUN_OBJECT_MAX + 1),
    .large_low_span = CACHED_CHUNK_MAX + MALLOC_ALIGNMENT - TCACHE_LARGE_LOW,
    .cached_small = RUN_OBJECT_MAX + 1,
    .cached_request = DEFAULT_MMAP_THRESHOLD,
};

struct run_shape tcache_shapes[256] = RUN_SHAPES;

static bool is_bypassed;
static bool gate_is_closed;

void tcache_bypass(bool bypass)
{
    __atomic_store_n(&is_bypassed, bypass, __ATOMIC_RELAXED);
    tcache_set_limits();
}

void tcache_close_gate(bool is_closed)
{
    __atomic_store_n(&gate_is_closed, is_closed, __ATOMIC_RELAXED);
    tcache_set_limits();
}

/* The largest chunk to cache by what the option says; the large classes are a
 * little above round numbers. */
static size_t largest_cached(size_t most)
{
    if (most < MIN_CHUNK_SIZE) {
        return 0;
    }
    most = min_size(most, CACHED_CHUNK_MAX - CLASS_EXTRA);
    most += most > SMALL_CLASS_MAX ? CLASS_EXTRA : 0;
    return class_size(class_joined_by(most));
}

static void set_shapes(unsigned run_class)
{
    for (unsigned i = 1; i <= RUN_CLASSES; i++) {
        bool is_cached = CHUNK_CLASSES - 1 + i < run_class;
        __atomic_store_n(&tcache_shapes[i].bound,
                         is_cached ? run_shapes[i].bound : 0, __ATOMIC_RELAXED);
    }
}

/* What the sizes of chunks say that are cached up to `chunk`. */
static struct tcache_limits limits_of(size_t chunk)
{
    if (chunk == 0) {
        return (struct tcache_limits){0};
    }
    size_t request =
        min_size(usable_size_of(chunk) + 1, DEFAULT_MMAP_THRESHOLD);
    size_t small = min_size(request, RUN_OBJECT_MAX + 1);
    uint32_t small_low =
        (uint32_t)(min_size(chunk, SMALL_CLASS_MAX) + MALLOC_ALIGNMENT);
    uint32_t low = (uint32_t)(chunk + MALLOC_ALIGNMENT);
    return (struct tcache_limits){
        .small = small,
        .resized = request - 1,
        .run_class = run_class_serving(small - 1) + 1,
        .small_low = small_low,
        .low = low,
        .remote_span = small_low - MIN_CHUNK_SIZE,
        .large_span =
            max_size(request, RUN_OBJECT_MAX + 1) - (RUN_OBJECT_MAX + 1),
        .large_low_span =
            (uint32_t)max_size(low, TCACHE_LARGE_LOW) - TCACHE_LARGE_LOW,
        .cached_small = small,
        .cached_request = request,
    };
}

static struct tcache_limits wanted_limits(void)
{
    bool is_seen = __atomic_load_n(&is_bypassed, __ATOMIC_RELAXED) ||
                   option_get(OPTION_PERTURB) != 0;
    bool is_hardened = option_get(OPTION_HARDENED) != 0;
    bool is_cached = !is_seen && !is_hardened;
    struct tcache_limits limits = limits_of(
        is_cached ? largest_cached(option_get(OPTION_TCACHE_MAX)) : 0);
    if (is_hardened && !is_seen) {
        limits.stocked = usable_size_of(SMALL_CLASS_MAX) - 1;
        limits.quarantined = true;
    }
    if (__atomic_load_n(&gate_is_closed, __ATOMIC_RELAXED)) {
        limits.small = limits.resized = limits.large_span = limits.stocked = 0;
    }
    return limits;
}

#define SET_LIMIT(limit, value)                                                \
    __atomic_store_n(&tcache_limits.limit, value, __ATOMIC_RELAXED)

static void set_limits(void)
{
    struct tcache_limits limits = wanted_limits();
    SET_LIMIT(small, limits.small);
    SET_LIMIT(resized, limits.resized);
    SET_LIMIT(cached_small, limits.cached_small);
    SET_LIMIT(cached_request, limits.cached_request);
    SET_LIMIT(run_class, limits.run_class);
    set_shapes(limits.run_class);
    SET_LIMIT(small_low, limits.small_low);
    SET_LIMIT(low, limits.low);
    SET_LIMIT(remote_span, limits.remote_span);
    SET_LIMIT(large_span, limits.large_span);
    SET_LIMIT(large_low_span, limits.large_low_span);
    SET_LIMIT(stocked, limits.stocked);
    SET_LIMIT(quarantined, limits.quarantined);
}

/* Each caller has changed what the limits depend on. Of two that come at once
 * one may have read what the other has not changed yet, and store that last: so
 * who sees, once he has stored, that another has begun meanwhile, does it all
 * again. Both fences are between a thread's stores and its loads: one of the
 * two sees the other. */
void tcache_set_limits(void)
{
    static unsigned begun;
    unsigned now = __atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
    unsigned seen;
    do {
        seen = now;
        set_limits();
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        now = __atomic_load_n(&begun, __ATOMIC_SEQ_CST);
    } while (now != seen);
}
