#include "profile.h"

#include <string.h>

#include "arenas.h"
#include "lock.h"
#include "os.h"
#include "owner.h"
#include "tcache.h"

/* Address space that has memory up to `committed`. */
struct profile_table {
    char *start;
    size_t committed;
    size_t used;
};

struct profile_switch profile_switch;
PROBE_SEMAPHORE(otel_memory, alloc);
PROBE_SEMAPHORE(otel_memory, free);
size_t profile_live;

static struct {
    struct lock lock;
    uint32_t changes;    /* atomic */
    uint32_t generation; /* of starts: threads draw anew; atomic */
    uint32_t unused;     /* first of the samples that are not in use */
    uint32_t lost;
    bool is_dumped; /* atomic */
    struct profile_table samples;
    struct profile_table stacks;
    uint32_t *sample_buckets;
    uint32_t *stack_buckets;
    uint8_t *filter; /* how many samples have blocks with this hash; atomic */
} profile = {
    .lock = LOCK_INITIAL(LOCK_RANK_PROFILE),
};

static PTM_TLS struct {
    uint32_t generation;
    bool is_noting;
} thread_profile;

/* ---- tables ---------------------------------------------------------------
 */

static size_t page_step(size_t bytes)
{
    return round_up(bytes, max_size(PROFILE_STEP, os_page_size()));
}

/* Offset 0 is nothing. */
static bool table_reserve(struct profile_table *part, size_t first)
{
    if (part->start == NULL) {
        part->start = os_reserve(PROFILE_TABLE);
        part->used = first;
    }
    return part->start != NULL;
}

/* The place of so many bytes more, which are zero; 0: no memory. */
static uint32_t table_add(struct profile_table *part, size_t bytes)
{
    size_t end = part->used + bytes;
    if (end > part->committed) {
        size_t more = page_step(end - part->committed);
        if (part->committed + more > PROFILE_TABLE ||
            !os_commit(part->start + part->committed, more)) {
            return 0;
        }
        part->committed += more;
    }
    size_t place = part->used;
    part->used = end;
    return (uint32_t)place;
}

static struct profile_sample *sample_at(uint32_t place)
{
    return (struct profile_sample *)(void *)(profile.samples.start + place);
}

static struct profile_stack *stack_at(uint32_t place)
{
    return (struct profile_stack *)(void *)(profile.stacks.start + place);
}

enum {
    HASHES_SIZE = 2 * PROFILE_BUCKETS * sizeof(uint32_t) + PROFILE_FILTER,
};

/* The lock is held. */
static bool make_tables(void)
{
    if (profile.sample_buckets == NULL) {
        uint32_t *buckets = os_map(HASHES_SIZE);
        if (buckets == NULL) {
            return false;
        }
        profile.stack_buckets = buckets + PROFILE_BUCKETS;
        profile.filter = (uint8_t *)(buckets + 2 * PROFILE_BUCKETS);
        __atomic_store_n(&profile.sample_buckets, buckets, __ATOMIC_RELEASE);
    }
    return table_reserve(&profile.samples, sizeof(struct profile_sample)) &&
           table_reserve(&profile.stacks, sizeof(struct profile_stack));
}

static void lock_profile(void)
{
    while (!lock_acquire(&profile.lock)) {
        profile_after_fork();
    }
}

/* ---- on and off -----------------------------------------------------------
 */

static void set_mean(size_t mean)
{
    __atomic_store_n(&profile_switch.mean, mean, __ATOMIC_RELAXED);
    __atomic_fetch_add(&profile.generation, 1, __ATOMIC_RELAXED);
    tcache_close_gate(mean != 0);
}

static size_t wanted_mean(void)
{
    size_t wanted = __atomic_load_n(&profile_switch.wanted, __ATOMIC_RELAXED);
    return wanted == 0 && profile_is_traced() ? DEFAULT_PROFILE : wanted;
}

/* The lock is held. Where there is no memory for what is wanted, it ends, and
 * who is outside sees it. */
static bool do_as_wanted(void)
{
    size_t mean = wanted_mean();
    bool done = mean == 0 || make_tables();
    if (!done) {
        __atomic_store_n(&profile_switch.wanted, 0, __ATOMIC_RELAXED);
        mean = 0;
    }
    set_mean(mean);
    return done;
}

bool profile_start(size_t mean)
{
    lock_profile();
    __atomic_store_n(&profile_switch.wanted, mean, __ATOMIC_RELAXED);
    bool done = do_as_wanted();
    lock_release(&profile.lock);
    return done;
}

void profile_stop(void)
{
    profile_start(0);
}

bool profile_picks_at_hit(size_t size)
{
    if (wanted_mean() !=
        __atomic_load_n(&profile_switch.mean, __ATOMIC_RELAXED)) {
        lock_profile();
        do_as_wanted();
        lock_release(&profile.lock);
    }
    size_t mean = __atomic_load_n(&profile_switch.mean, __ATOMIC_RELAXED);
    uint32_t generation =
        __atomic_load_n(&profile.generation, __ATOMIC_RELAXED);
    if (mean == 0 || thread_profile.is_noting) {
        return false;
    }
    if (thread_profile.generation != generation) {
        thread_profile.generation = generation;
        sampler_draw(mean);
        return !sampler_passes(size);
    }
    return true;
}

/* ---- stacks ---------------------------------------------------------------
 */

static uint32_t hash_of(const uintptr_t *frames, size_t depth)
{
    uint64_t hash = depth;
    for (size_t i = 0; i < depth; i++) {
        hash = (hash ^ frames[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash >> 32);
}

/* The lock is held. 0: no memory. */
static uint32_t stack_of(const uintptr_t *frames, size_t depth)
{
    size_t bytes = depth * sizeof *frames;
    uint32_t *bucket =
        &profile.stack_buckets[hash_of(frames, depth) % PROFILE_BUCKETS];
    for (uint32_t place = *bucket; place != 0; place = stack_at(place)->next) {
        const struct profile_stack *stack = stack_at(place);
        if (stack->depth == depth &&
            memcmp(stack->frames, frames, bytes) == 0) {
            return place;
        }
    }
    uint32_t place =
        table_add(&profile.stacks, sizeof(struct profile_stack) + bytes);
    if (place != 0) {
        struct profile_stack *stack = stack_at(place);
        stack->next = *bucket;
        stack->depth = (uint32_t)depth;
        memcpy(stack->frames, frames, bytes);
        *bucket = place;
    }
    return place;
}

/* ---- samples --------------------------------------------------------------
 */

static uintptr_t run_page_of(uintptr_t mem)
{
    return mem / RUN_SIZE;
}

static uint32_t *bucket_of_page(uint32_t *buckets, uintptr_t mem)
{
    uint64_t hash = run_page_of(mem) * 0x9e3779b97f4a7c15u;
    return &buckets[(hash >> 32) % PROFILE_BUCKETS];
}

/* Most blocks of watched pages are no samples, and this tells at a glance.
 * Written under the lock. Who frees a block that is a sample sees that it was
 * counted, as that was before he was given the block. A count that is full
 * stays so. */
static uint8_t *filter_of(uintptr_t mem)
{
    uint64_t hash = mem / MALLOC_ALIGNMENT * 0x9e3779b97f4a7c15u;
    return &profile.filter[(hash >> 32) % PROFILE_FILTER];
}

static void count_in_filter(uintptr_t mem, int more)
{
    uint8_t *count = filter_of(mem);
    if (*count != UINT8_MAX) {
        __atomic_store_n(count, (uint8_t)(*count + more), __ATOMIC_RELAXED);
    }
}

static bool is_in_filter(uintptr_t mem)
{
    return __atomic_load_n(filter_of(mem), __ATOMIC_RELAXED) != 0;
}

static uint32_t load_place(const uint32_t *place)
{
    return __atomic_load_n(place, __ATOMIC_RELAXED);
}

static void store_place(uint32_t *place, uint32_t value)
{
    __atomic_store_n(place, value, __ATOMIC_RELAXED);
}

static uintptr_t mem_of(const struct profile_sample *sample)
{
    return __atomic_load_n(&sample->mem, __ATOMIC_RELAXED);
}

/* Who reads without the lock and sees anything of what is between the two, sees
 * an odd number before or another one after. */
static void begin_change(void)
{
    __atomic_fetch_add(&profile.changes, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end_change(void)
{
    __atomic_fetch_add(&profile.changes, 1, __ATOMIC_RELEASE);
}

static uint32_t take_unused_sample(void)
{
    uint32_t place = profile.unused;
    if (place != 0) {
        profile.unused = load_place(&sample_at(place)->next);
        return place;
    }
    return table_add(&profile.samples, sizeof(struct profile_sample));
}

static void add_sums(struct profile_stack *stack,
                     const struct profile_sample *sample, double sign)
{
    stack->live_count += sign * sample->weight;
    stack->live_bytes += sign * sample->weight * (double)sample->size;
}

static void add_sample(uint32_t place, const struct profile_sample *values)
{
    struct profile_sample *sample = sample_at(place);
    uint32_t *bucket = bucket_of_page(profile.sample_buckets, values->mem);
    count_in_filter(values->mem, 1);
    begin_change();
    sample->size = values->size;
    sample->weight = values->weight;
    sample->stack = values->stack;
    __atomic_store_n(&sample->mem, values->mem, __ATOMIC_RELAXED);
    store_place(&sample->next, load_place(bucket));
    store_place(bucket, place);
    end_change();
    struct profile_stack *stack = stack_at(sample->stack);
    stack->allocated_count += sample->weight;
    stack->allocated_bytes += sample->weight * (double)sample->size;
    add_sums(stack, sample, 1);
    __atomic_fetch_add(&profile_live, 1, __ATOMIC_RELEASE);
}

/* The lock is held; `link` leads to the sample. */
static void remove_sample(uint32_t *link)
{
    uint32_t place = load_place(link);
    struct profile_sample *sample = sample_at(place);
    add_sums(stack_at(sample->stack), sample, -1);
    count_in_filter(sample->mem, -1);
    begin_change();
    store_place(link, load_place(&sample->next));
    __atomic_store_n(&sample->mem, 0, __ATOMIC_RELAXED);
    store_place(&sample->next, profile.unused);
    profile.unused = place;
    end_change();
    __atomic_fetch_sub(&profile_live, 1, __ATOMIC_RELAXED);
}

/* The lock is held. The link that leads to this block's sample, or NULL. */
static uint32_t *find_link(uintptr_t mem)
{
    uint32_t *link = bucket_of_page(profile.sample_buckets, mem);
    while (load_place(link) != 0 && sample_at(load_place(link))->mem != mem) {
        link = &sample_at(load_place(link))->next;
    }
    return load_place(link) != 0 ? link : NULL;
}

static bool page_has_samples(uintptr_t mem)
{
    uint32_t place = load_place(bucket_of_page(profile.sample_buckets, mem));
    while (place != 0 &&
           run_page_of(sample_at(place)->mem) != run_page_of(mem)) {
        place = load_place(&sample_at(place)->next);
    }
    return place != 0;
}

/* ---- what happens to a block ----------------------------------------------
 */

/* The arena whose lock goes with the block's samples, locked, or NULL: it is in
 * none. False: it is not to be a sample. The block may be gone. */
static bool lock_arena_of(const void *mem, struct arena **arena)
{
    struct arena *holder = arenas_hold(mem);
    *arena = arenas_has(holder, mem) ? holder : NULL;
    if (*arena == NULL) {
        arenas_let_go(holder);
        return true;
    }
    if (holder->is_private || holder->is_abandoned) {
        arenas_let_go(holder);
        return false;
    }
    return true;
}

static void unlock_arena(struct arena *arena)
{
    if (arena != NULL) {
        arena_release(arena);
    }
}

static void watch(const struct arena *arena, const void *mem, bool on)
{
    if (arena != NULL) {
        heap_watch_page(heap_for_ptr(mem), mem, on);
    }
}

/* The lock is held. */
static bool write_down(struct profile_sample *values, const uintptr_t *frames,
                       size_t depth)
{
    values->stack = stack_of(frames, depth);
    uint32_t place = values->stack != 0 ? take_unused_sample() : 0;
    if (place == 0) {
        profile.lost++;
        return false;
    }
    add_sample(place, values);
    return true;
}

void profile_note_allocation(void *mem, size_t size, struct call call)
{
    uintptr_t frames[PROFILE_DEPTH];
    struct arena *arena;
    size_t mean = __atomic_load_n(&profile_switch.mean, __ATOMIC_RELAXED);
    if (mean == 0) {
        return;
    }
    sampler_draw(mean);
    if (!lock_arena_of(mem, &arena)) {
        return;
    }
    unlock_arena(arena);
    thread_profile.is_noting = true;
    struct profile_sample values = {
        .mem = (uintptr_t)mem,
        .size = size,
        .weight = sampler_weight(size, mean),
    };
    size_t depth = stack_walk(frames, PROFILE_DEPTH, call);
    if (lock_arena_of(mem, &arena)) {
        lock_profile();
        bool done = write_down(&values, frames, depth);
        lock_release(&profile.lock);
        if (done) {
            watch(arena, mem, true);
        }
        unlock_arena(arena);
        if (done && PROBE_IS_WANTED(otel_memory, alloc)) {
            PROBE_GATED_3(otel_memory, alloc, mem, size,
                          values.weight * (double)size);
        }
    }
    thread_profile.is_noting = false;
}

/* Whether the block has a sample, without the lock; where that cannot be told,
 * it may have. */
static bool may_have_sample(uintptr_t mem)
{
    uint32_t before = __atomic_load_n(&profile.changes, __ATOMIC_ACQUIRE);
    uint32_t *buckets =
        __atomic_load_n(&profile.sample_buckets, __ATOMIC_ACQUIRE);
    uint32_t place = load_place(bucket_of_page(buckets, mem));
    unsigned steps = 0;
    while (place != 0 && mem_of(sample_at(place)) != mem &&
           steps++ < PROFILE_STEPS) {
        place = load_place(&sample_at(place)->next);
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    uint32_t after = __atomic_load_n(&profile.changes, __ATOMIC_RELAXED);
    return place != 0 || before % 2 != 0 || after != before;
}

void profile_note_free_slowly(const void *mem)
{
    struct arena *arena;
    if (likely(!is_in_filter((uintptr_t)mem)) ||
        !may_have_sample((uintptr_t)mem) || !lock_arena_of(mem, &arena)) {
        return;
    }
    lock_profile();
    uint32_t *link = find_link((uintptr_t)mem);
    bool is_last = false;
    if (link != NULL) {
        remove_sample(link);
        is_last = !page_has_samples((uintptr_t)mem);
    }
    lock_release(&profile.lock);
    if (is_last) {
        watch(arena, mem, false);
    }
    unlock_arena(arena);
    if (link != NULL && PROBE_IS_WANTED(otel_memory, free)) {
        PROBE_GATED_1(otel_memory, free, mem);
    }
}

/* ---- looking at it --------------------------------------------------------
 */

bool profile_begin_dump(void)
{
    return !__atomic_exchange_n(&profile.is_dumped, true, __ATOMIC_ACQUIRE);
}

void profile_end_dump(void)
{
    __atomic_store_n(&profile.is_dumped, false, __ATOMIC_RELEASE);
}

void profile_visit_stacks(void (*visit)(struct profile_stack *stack,
                                        void *data),
                          void *data)
{
    size_t place = sizeof(struct profile_stack);
    lock_profile();
    size_t used = profile.stacks.used;
    lock_release(&profile.lock);
    while (place < used) {
        struct profile_stack *stack = stack_at((uint32_t)place);
        visit(stack, data);
        place += sizeof *stack + stack->depth * sizeof stack->frames[0];
    }
}

/* Of a block that is not freed meanwhile. */
static bool lies_in_heap(const void *mem)
{
    return owner_of(mem) != 0 &&
           heap_contains(heap_for_ptr(mem), mem2chunk(mem));
}

/* Who frees a block waits for its arena's lock, or for ours if it is in no
 * arena: so a sample that is still there then is one while it is looked at. It
 * may be that of another block at the same address, for which the lock is not
 * the right one. */
static void visit_sample(struct profile_sample *sample,
                         void (*visit)(const struct profile_sample *sample,
                                       struct profile_stack *stack, void *data),
                         void *data)
{
    struct arena *arena;
    uintptr_t mem = mem_of(sample);
    if (mem == 0 || !lock_arena_of((const void *)mem, &arena)) {
        return;
    }
    lock_profile();
    bool is_in_heap = arena != NULL;
    if (sample->mem == mem && is_in_heap == lies_in_heap((const void *)mem)) {
        visit(sample, stack_at(sample->stack), data);
    }
    lock_release(&profile.lock);
    unlock_arena(arena);
}

void profile_visit_samples(void (*visit)(const struct profile_sample *sample,
                                         struct profile_stack *stack,
                                         void *data),
                           void *data)
{
    lock_profile();
    size_t used = profile.samples.used;
    lock_release(&profile.lock);
    for (size_t place = sizeof(struct profile_sample); place < used;
         place += sizeof(struct profile_sample)) {
        visit_sample(sample_at((uint32_t)place), visit, data);
    }
}

/* ---- fork -----------------------------------------------------------------
 */

/* Another thread of the parent was in the middle of something. Memory that was
 * committed is kept, and not counted on. */
static void forget_all(void)
{
    if (profile.sample_buckets != NULL) {
        memset(profile.sample_buckets, 0, HASHES_SIZE);
    }
    profile.samples = (struct profile_table){.start = NULL};
    profile.stacks = (struct profile_table){.start = NULL};
    profile.unused = 0;
    profile.changes = 0;
    profile_live = 0;
    __atomic_store_n(&profile_switch.wanted, 0, __ATOMIC_RELAXED);
    set_mean(0);
}

void profile_after_fork(void)
{
    if (lock_is_confirmed(&profile.lock)) {
        return;
    }
    profile_end_dump();
    if (lock_is_orphaned(&profile.lock)) {
        forget_all();
        lock_reset(&profile.lock);
    }
    lock_confirm(&profile.lock);
}

const struct description profile_description[] = {
    DESCRIBE_ADDRESS("profile", &profile_switch),
    DESCRIBE_PART("profile.wanted", struct profile_switch, wanted),
    DESCRIBE_PART("profile.mean", struct profile_switch, mean),
    DESCRIBE_ADDRESS("profile_gate", &tcache_limits),
    DESCRIBE_NUMBER("PROFILE_GATE", TCACHE_GATE),
    DESCRIBE_ADDRESS("profile_lost", &profile.lost),
    DESCRIBE_ADDRESS("profile_buckets", &profile.sample_buckets),
    DESCRIBE_NUMBER("PROFILE_BUCKETS_SIZE", HASHES_SIZE),
    DESCRIBE_ADDRESS("samples", &profile.samples),
    DESCRIBE_ADDRESS("stacks", &profile.stacks),
    DESCRIBE_PART("table.start", struct profile_table, start),
    DESCRIBE_PART("table.used", struct profile_table, used),
    DESCRIBE_NUMBER("sample.size", sizeof(struct profile_sample)),
    DESCRIBE_PART("sample.mem", struct profile_sample, mem),
    DESCRIBE_PART("sample.bytes", struct profile_sample, size),
    DESCRIBE_PART("sample.weight", struct profile_sample, weight),
    DESCRIBE_PART("sample.stack", struct profile_sample, stack),
    DESCRIBE_NUMBER("stack.size", sizeof(struct profile_stack)),
    DESCRIBE_PART("stack.depth", struct profile_stack, depth),
    DESCRIBE_PART("stack.allocations", struct profile_stack, allocated_count),
    DESCRIBE_PART("stack.allocated", struct profile_stack, allocated_bytes),
    DESCRIBE_PART("stack.live_count", struct profile_stack, live_count),
    DESCRIBE_PART("stack.live", struct profile_stack, live_bytes),
    DESCRIBE_PART("stack.frames", struct profile_stack, frames),
    {.name = ""},
};
