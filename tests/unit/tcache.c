/*
 * tcache.c - what a thread keeps at hand, as malloc and free meet it.
 *
 * A cache begins with the thread's first allocation and never moves back to
 * where it was, so each scene is played in a child.
 */
#define _GNU_SOURCE
#include "tcache.h"

#include "unit.h"

#include <signal.h>
#include <sys/time.h>

#include "actor.h"
#include "alloc.h"
#include "arenas.h"
#include "caches.h"
#include "child.h"
#include "faulty_syscall.h"
#include "inspect.h"
#include "options.h"
#include "os.h"
#include "purge.h"
#include "two_arenas.h"
#include "zero.h"

enum {
    SIZE = 100,
    MANY = 5000,
};

static void *blocks[MANY];

static bool has_cache(void)
{
    return tcache_self() != &tcache_none;
}

/* Blocks of this class that this thread has at hand. */
static size_t in_class(unsigned size_class)
{
    const struct tcache *cache = tcache_self();
    return (size_t)cache->top[size_class] - cache->base[size_class];
}

/* Chunks of this size. */
static size_t at_hand(size_t chunk_size)
{
    return in_class(class_joined_by(chunk_size));
}

static bool is_object(const void *mem)
{
    return owner_of(mem) != 0 && block_run_class(mem) != 0;
}

static bool is_cached(const void *mem)
{
    return is_object(mem)
               ? object_is_marked(mem) &&
                     !run_has_free(heap_run_of(mem), block_class(mem), mem)
               : chunk_is_cached(mem2chunk(mem));
}

static void must_be_sound(void)
{
    struct damage damage;
    MUST(inspect_everything(&damage));
}

static void allocate_all(size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = alloc_malloc(size);
        MUST(blocks[i] != NULL && !is_cached(blocks[i]));
    }
}

static void free_all(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        alloc_free(blocks[i]);
    }
}

static void nothing_must_be_left(void)
{
    struct arena_stats stats;
    purge_everything(0);
    must_be_sound();
    for (unsigned number = 1; number <= arenas_count(); number++) {
        MUST(arena_stats(arena_numbered(number), &stats));
        MUST(stats.free_chunks == stats.heaps && stats.heaps <= 1);
    }
}

/* ---- where nothing may be read -------------------------------------------
 */

/* The 64 MiB before the region of blocks of no bytes are a heap's, which has
 * reserved fewer: what is right before the region is nobody's. */
static void the_first_block_of_no_bytes_has_nothing_before_it(void *unused)
{
    (void)unused;
    size_t page = os_page_size();
    void *mem = alloc_malloc(0);
    MUST(mem == zero_region && run_offset(mem) == 0);
    char *below = zero_region - HEAP_MAX_SIZE;
    MUST(os_reserve_at(below, HEAP_MAX_SIZE));
    MUST(os_close(below, HEAP_MAX_SIZE));
    MUST(os_commit(below, round_up(HEAP_HEADER_SIZE, page)));
    owner_set(below, main_arena.number);
    tcache_create();
    MUST(has_cache() && !tcache_fits(mem, SIZE));
    MUST(tcache_self()->owner != main_arena.number);
    MUST(!tcache_free_remote_slowly(mem));
    MUST(!tcache_free(mem));
    owner_set(below, 0);
    alloc_free(mem);
    mem = alloc_realloc(alloc_malloc(0), SIZE);
    MUST(mem != NULL);
    alloc_free(mem);
}

/* ---- one thread --------------------------------------------------------- */

static void the_block_freed_last_is_the_next(void *unused)
{
    (void)unused;
    MUST(!has_cache());
    void *first = alloc_malloc(SIZE);
    MUST(has_cache());
    MUST(tcache_self()->owner == 1);
    void *second = alloc_malloc(SIZE);
    alloc_free(first);
    MUST(is_cached(first) && !is_cached(second));
    alloc_free(second);
    MUST(is_cached(second));
    must_be_sound();
    MUST(alloc_malloc(SIZE) == second && alloc_malloc(SIZE) == first);
    MUST(!is_cached(first) && !is_cached(second));
    /* Any request that the class serves. */
    alloc_free(first);
    MUST(alloc_malloc(SIZE - 10) == first);
    alloc_free(first);
    MUST(alloc_malloc(SIZE + 20) != first);
    must_be_sound();
}

/* The arena is held by another thread the whole time. */
static void hits_take_no_lock(void *unused)
{
    struct actor holder;
    (void)unused;
    void *mem = alloc_malloc(SIZE);
    void *other = alloc_malloc(1000);
    alloc_free(mem);
    actor_start(&holder);
    actor_do(&holder, hold, &main_arena);
    for (int i = 0; i < 100; i++) {
        MUST(alloc_malloc(SIZE) == mem);
        alloc_free(mem);
        alloc_free(other);
        MUST(alloc_malloc(1000) == other);
    }
    MUST(arenas_count() == 1);
    actor_do(&holder, release, &main_arena);
}

static void fresh_blocks_come_in_the_order_of_memory(void *unused)
{
    (void)unused;
    option_set(OPTION_RUN_MAX, 0);
    allocate_all(MANY, SIZE);
    size_t neighbours = 0;
    for (int i = 1; i < MANY; i++) {
        neighbours +=
            mem2chunk(blocks[i]) == chunk_next(mem2chunk(blocks[i - 1]));
    }
    MUST(neighbours == MANY - 1);
    /* A magazine at a time, in the end. */
    size_t magazine = class_magazine_size(class_serving(112));
    while (at_hand(112) > 0) {
        alloc_malloc(SIZE);
    }
    alloc_malloc(SIZE);
    MUST(at_hand(112) == magazine - 1);
    must_be_sound();
}

/* The blocks from this one on are objects; which are the first ones is for the
 * demand to say. */
static size_t first_object(size_t count)
{
    size_t i = 0;
    while (i < count && !is_object(blocks[i])) {
        i++;
    }
    return i;
}

/* In each run. */
static void fresh_objects_come_in_the_order_of_memory(void *unused)
{
    (void)unused;
    allocate_all(MANY, SIZE);
    size_t first = first_object(MANY);
    MUST(first < 100 && run_offset(blocks[first]) == 0);
    for (size_t i = first + 1; i < MANY; i++) {
        MUST((char *)blocks[i] == (char *)blocks[i - 1] + 112 ||
             run_offset(blocks[i]) == 0);
    }
    unsigned size_class = block_class(blocks[first]);
    size_t magazine = class_magazine_size(size_class);
    while (in_class(size_class) > 0) {
        alloc_malloc(SIZE);
    }
    alloc_malloc(SIZE);
    MUST(in_class(size_class) <= magazine - 1);
    must_be_sound();
}

/* Half of what is there goes when there is no room; the newest stay. */
static void overflow_from(size_t first)
{
    unsigned size_class = block_class(blocks[first]);
    size_t most = CACHE_MAGAZINES * class_magazine_size(size_class);
    size_t i = first;
    while (in_class(size_class) < most) {
        alloc_free(blocks[i++]);
    }
    alloc_free(blocks[i]);
    MUST(in_class(size_class) == most / 2 + 1);
    for (size_t back = 0; back <= most / 2; back++) {
        MUST(alloc_malloc(SIZE) == blocks[i - back]);
    }
    must_be_sound();
}

static void overflow_with_chunks(void *unused)
{
    (void)unused;
    option_set(OPTION_RUN_MAX, 0);
    allocate_all(MANY, SIZE);
    overflow_from(0);
}

static void overflow_with_objects(void *unused)
{
    (void)unused;
    allocate_all(MANY, SIZE);
    overflow_from(first_object(MANY));
}

static void the_older_half_makes_room(void **state)
{
    (void)state;
    child_must_succeed(overflow_with_chunks, NULL);
    child_must_succeed(overflow_with_objects, NULL);
}

static void a_cache_and_its_depot_are_bounded(void *unused)
{
    (void)unused;
    for (size_t size = 24; size <= 200000; size *= 3) {
        size_t count = min_size(MANY, 20000000 / size);
        allocate_all(count, size);
        unsigned size_class = class_joined_by(chunk_size(mem2chunk(blocks[0])));
        free_all(count);
        MUST(at_hand(class_size(size_class)) <= class_slots(size_class));
        MUST(tcache_self()->capacity_bytes <= CACHE_BYTES_MAX);
        MUST(main_arena.depot.bytes <=
             max_size(DEPOT_BYTES, main_arena.system_bytes / DEPOT_LIVE_SHARE) +
                 SLOW_STEP * class_size(size_class));
        must_be_sound();
    }
    nothing_must_be_left();
}

/* Blocks of sixteen sizes in turn, all of which are objects soon. */
static void allocate_sizes(void)
{
    for (size_t i = 0; i < MANY; i++) {
        blocks[i] = alloc_malloc(256 + i % 16 * 48);
        MUST(blocks[i] != NULL);
    }
}

/* Bytes that the slots of the class with most can hold, of objects. */
static size_t most_for_a_class(void)
{
    size_t most = 0;
    for (unsigned i = CHUNK_CLASSES; i < CLASS_COUNT; i++) {
        most = max_size(most, tcache_self()->capacity[i] * class_size(i));
    }
    return most;
}

static void free_sizes(size_t most)
{
    allocate_sizes();
    MUST(tcache_self()->overflows < CACHE_OVERFLOWS);
    must_be_sound();
    free_all(MANY);
    MUST(tcache_self()->overflows >= CACHE_OVERFLOWS);
    MUST(most_for_a_class() <= most);
    must_be_sound();
}

/* As much as a cache may. */
static void cache_much(void *unused)
{
    (void)unused;
    for (size_t size = 2000; size < 200000; size += size / 8) {
        allocate_all(3 * LARGE_SLOTS_MAX, size);
        free_all(3 * LARGE_SLOTS_MAX);
    }
}

static void who_only_frees_keeps_little(void *unused)
{
    struct actor others[4];
    (void)unused;
    free_sizes(SIZE_MAX);
    MUST(most_for_a_class() > CLASS_BYTES_FREEING);
    for (size_t i = 0; i < count_of(others); i++) {
        actor_start(&others[i]);
        actor_do(&others[i], cache_much, NULL);
    }
    MUST(caches_bytes() > CACHES_BYTES_FREEING);
    free_sizes(CLASS_BYTES_FREEING);
    free_sizes(CLASS_BYTES_FREEING);
    for (size_t i = 0; i < count_of(others); i++) {
        actor_end(&others[i]);
    }
    free_sizes(SIZE_MAX);
    MUST(most_for_a_class() > CLASS_BYTES_FREEING);
    nothing_must_be_left();
}

/* Each class has its turn, again and again: the room for slots is shared. */
static void classes_share_the_room(void *unused)
{
    (void)unused;
    for (int round = 0; round < 3; round++) {
        for (unsigned number = 2; number < CLASS_COUNT; number++) {
            size_t size = class_size(number) - sizeof(size_t);
            allocate_all(10, size);
            memset(blocks[9], 1, size);
            free_all(10);
            MUST(tcache_self()->capacity_bytes <= CACHE_BYTES_MAX);
        }
        must_be_sound();
    }
    nothing_must_be_left();
}

/* Large classes have all that a cache may hold, and only frees would take slots
 * away from them: a small class that comes later has its own even so. */
static void who_only_allocates_gets_slots(void *unused)
{
    (void)unused;
    cache_much(NULL);
    const struct tcache *cache = tcache_self();
    MUST(cache->capacity_bytes > cache->capacity_limit / 4 * 3);
    for (size_t size = RUN_OBJECT_MAX; size >= 64; size -= 32) {
        allocate_all(400, size);
        unsigned size_class = block_class(blocks[399]);
        MUST(cache->capacity[size_class] == class_slots(size_class));
        MUST(cache->capacity_bytes <= cache->capacity_limit);
    }
    must_be_sound();
}

static void empty_class(unsigned size_class)
{
    while (in_class(size_class) > 0) {
        MUST(alloc_malloc(class_size(size_class) - sizeof(size_t)) != NULL);
    }
}

/* This large class has all of its slots, and may have blocks in them. */
static void have_slots(unsigned size_class)
{
    allocate_all(4 * LARGE_SLOTS_MAX, class_size(size_class) - sizeof(size_t));
    free_all(2 * LARGE_SLOTS_MAX);
    MUST(tcache_self()->capacity[size_class] == LARGE_SLOTS_MAX);
}

/* A large class without a block gets half of those of the one above, and one
 * without a slot gives half of what the one below has slots for. */
static void large_classes_lend_to_each_other(void *unused)
{
    unsigned below = class_serving(3000), above = below + 1;
    size_t request = class_size(below) - sizeof(size_t);
    size_t larger = class_size(above) - sizeof(size_t);
    (void)unused;
    have_slots(below);
    have_slots(above);
    empty_class(below);
    allocate_all(LARGE_SLOTS_MAX + 1, larger);
    empty_class(above);
    free_all(LARGE_SLOTS_MAX);
    MUST(in_class(above) == LARGE_SLOTS_MAX && in_class(below) == 0);
    MUST(alloc_malloc(request) == blocks[LARGE_SLOTS_MAX - 1]);
    size_t lent = (LARGE_SLOTS_MAX - 1) / 2;
    MUST(in_class(below) == lent);
    MUST(in_class(above) == LARGE_SLOTS_MAX - 1 - lent);
    for (size_t i = lent; i-- > 0;) {
        MUST(alloc_malloc(request) == blocks[i]);
        MUST(alloc_usable_size(blocks[i]) == larger);
        must_be_sound();
    }
    MUST(in_class(below) == 0);
    alloc_free(blocks[LARGE_SLOTS_MAX - 1]);
    for (size_t i = 0; i < lent; i++) {
        alloc_free(blocks[i]);
    }
    MUST(in_class(above) == LARGE_SLOTS_MAX && in_class(below) == 0);
    alloc_free(blocks[LARGE_SLOTS_MAX]);
    lent = LARGE_SLOTS_MAX / 2;
    MUST(in_class(below) == lent);
    MUST(in_class(above) == LARGE_SLOTS_MAX + 1 - lent);
    must_be_sound();
}

/* A block that was cut may be larger than its class. */
static void cut_blocks_join_a_class_they_serve(void *unused)
{
    (void)unused;
    for (size_t size = 16; size < 5000; size += 48) {
        void *mem = alloc_memalign(64, size);
        size_t usable = alloc_usable_size(mem);
        alloc_free(mem);
        MUST(is_cached(mem));
        size_t served = class_size(class_joined_by(usable + 8)) - 8;
        MUST(alloc_malloc(served) == mem);
        MUST(alloc_usable_size(mem) == usable);
        alloc_free(mem);
    }
    must_be_sound();
    nothing_must_be_left();
}

/* ---- what is cached ----------------------------------------------------- */

/* `beyond` is not. */
static void must_be_cached_until(size_t request, size_t beyond)
{
    tcache_set_limits();
    if (request > 0) {
        void *mem = alloc_malloc(request);
        alloc_free(mem);
        MUST(is_cached(mem));
        MUST(alloc_malloc(request) == mem);
        alloc_free(mem);
    }
    void *mem = alloc_malloc(beyond);
    void *fence = alloc_malloc(beyond);
    alloc_free(mem);
    MUST(!is_cached(mem));
    alloc_free(fence);
    must_be_sound();
}

static void must_be_cached_up_to(size_t request)
{
    must_be_cached_until(request, request + 1);
}

/* The last few requests below its size are mapped, where they may be. */
static void the_largest_class_must_be_cached(void)
{
    must_be_cached_until(DEFAULT_MMAP_THRESHOLD - 1, CACHED_CHUNK_MAX);
}

static void options_say_what_is_cached(void *unused)
{
    (void)unused;
    option_set(OPTION_MMAP_THRESHOLD, SIZE_MAX);
    the_largest_class_must_be_cached();
    option_set(OPTION_TCACHE_MAX, 4096);
    must_be_cached_up_to(4104);
    option_set(OPTION_TCACHE_MAX, 512);
    must_be_cached_up_to(504);
    option_set(OPTION_TCACHE_MAX, 32);
    must_be_cached_up_to(24);
    option_set(OPTION_TCACHE_MAX, 31);
    must_be_cached_up_to(0);
    option_set(OPTION_TCACHE_MAX, SIZE_MAX);
    the_largest_class_must_be_cached();
    tcache_bypass(true);
    must_be_cached_up_to(0);
    tcache_bypass(false);
    the_largest_class_must_be_cached();
    option_set(OPTION_PERTURB, 1);
    must_be_cached_up_to(0);
}

static const struct faulty_plan no_memory = {
    .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};

static void live_without_a_cache(void *unused)
{
    (void)unused;
    void *mem = alloc_malloc(SIZE);
    MUST(mem != NULL && !has_cache());
    alloc_free(mem);
    MUST(!is_cached(mem));
}

static void without_a_cache_all_goes_on(void *unused)
{
    struct actor late;
    (void)unused;
    alloc_free(alloc_memalign(4096, 100000)); /* main has a heap, then */
    MUST(has_cache());
    actor_start(&late);
    faulty_use(&no_memory);
    actor_do(&late, live_without_a_cache, NULL);
    faulty_use(NULL);
    actor_end(&late);
    must_be_sound();
}

/* ---- other threads' blocks ---------------------------------------------- */

static void allocate_remotely(void *mem)
{
    *(void **)mem = alloc_malloc(SIZE);
}

/* What it allocated to get there is gone again. */
static void start_remotely(struct actor *helper)
{
    void *mem;
    start_in_arena_2(helper, allocate_remotely, &mem);
    alloc_free(mem);
    tcache_flush();
}

/* The arena is locked all the while, and nobody waits for it. */
static void remote_blocks_go_home_without_the_lock(void *unused)
{
    struct actor helper, holder;
    struct arena *other;
    (void)unused;
    start_remotely(&helper);
    other = arena_numbered(2);
    for (int i = 0; i < 1000; i++) {
        actor_do(&helper, allocate_remotely, &blocks[i]);
        MUST(owner_of(blocks[i]) == 2);
    }
    actor_start(&holder);
    actor_do(&holder, hold, other);
    free_all(1000);
    for (int i = 0; i < 1000; i++) {
        MUST(is_cached(blocks[i]));
    }
    tcache_flush();
    MUST(inbox_has_any(&other->inbox));
    actor_do(&holder, release, other);
    must_be_sound();
    /* Its own thread finds them when it needs some. */
    size_t found = 0;
    for (int i = 0; i < 1000; i++) {
        void *mem;
        actor_do(&helper, allocate_remotely, &mem);
        for (int j = 0; j < 1000; j++) {
            found += blocks[j] == mem;
        }
    }
    MUST(found > 500);
    must_be_sound();
}

static void free_all_remotely(void *count)
{
    free_all(*(size_t *)count);
}

/* Arena 1 has no thread that would look into its inbox. */
static void a_sender_sorts_where_nobody_does(void *unused)
{
    struct actor helper;
    size_t count = MANY;
    (void)unused;
    start_remotely(&helper);
    allocate_all(MANY, SIZE);
    tcache_destroy();
    arenas_detach_thread();
    MUST(!arenas_has_threads(&main_arena));
    actor_do(&helper, free_all_remotely, &count);
    actor_end(&helper);
    MUST(!inbox_has_any(&main_arena.inbox));
    nothing_must_be_left();
}

/* ---- large blocks on their way ------------------------------------------- */

enum {
    LARGE = 3000,
};

static void allocate_large(void *mem)
{
    *(void **)mem = alloc_malloc(LARGE);
}

static size_t slots_of(size_t request)
{
    return tcache_self()->capacity[tcache_class_of(request)];
}

/* Who misses a large block has it from the outbox, if it is there. */
static void a_large_block_leaves_its_outbox_again(void *unused)
{
    struct actor helper;
    void *before, *block, *other;
    (void)unused;
    start_remotely(&helper);
    struct inbox *inbox = &arena_numbered(2)->inbox;
    actor_do(&helper, allocate_large, &before);
    actor_do(&helper, allocate_large, &block);
    actor_do(&helper, allocate_large, &other);
    alloc_free(before);
    alloc_free(block);
    MUST(is_cached(before) && is_cached(block));
    must_be_sound();
    /* Neither too large a request nor one that it is much too large for. */
    void *larger = alloc_malloc(2 * LARGE);
    void *smaller = alloc_malloc(LARGE / 2);
    MUST(owner_of(larger) == 1 && owner_of(smaller) == 1);
    MUST(alloc_malloc(LARGE) == block && !is_cached(block));
    MUST(alloc_usable_size(block) >= LARGE);
    memset(block, 1, LARGE);
    MUST(alloc_malloc(LARGE) == before && !is_cached(before));
    void *own = alloc_malloc(LARGE);
    MUST(owner_of(own) == 1);
    must_be_sound();
    /* Nothing is left to be sent. */
    tcache_flush();
    MUST(!inbox_has_any(inbox));
    alloc_free(block);
    alloc_free(before);
    tcache_flush();
    MUST(inbox_has_any(inbox) && is_cached(block));
    /* What is under way is out of reach. */
    void *another = alloc_malloc(LARGE);
    MUST(owner_of(another) == 1);
    alloc_free(another);
    alloc_free(own);
    alloc_free(larger);
    alloc_free(smaller);
    alloc_free(other);
    actor_end(&helper);
    nothing_must_be_left();
}

/* In an outbox of small and large blocks, and one that is full and is sent. */
static void an_outbox_keeps_its_other_blocks(void *unused)
{
    struct actor helper;
    enum { FEW = 8 };
    void *large[FEW];
    (void)unused;
    start_remotely(&helper);
    for (int i = 0; i < FEW; i++) {
        actor_do(&helper, allocate_large, &large[i]);
    }
    for (int i = 0; i < 2 * PARCEL_BLOCKS; i++) {
        actor_do(&helper, allocate_remotely, &blocks[i]);
    }
    for (int i = 0; i < FEW; i++) {
        alloc_free(blocks[i]);
        alloc_free(large[i]);
    }
    for (int i = FEW; i-- > 0;) {
        MUST(alloc_malloc(LARGE) == large[i]);
        must_be_sound();
    }
    for (int i = 0; i < FEW; i++) {
        alloc_free(large[i]);
    }
    for (int i = FEW; i < 2 * PARCEL_BLOCKS; i++) {
        alloc_free(blocks[i]);
        MUST(is_cached(blocks[i]));
    }
    MUST(inbox_has_any(&arena_numbered(2)->inbox));
    void *own = alloc_malloc(LARGE);
    MUST(owner_of(own) == 1);
    alloc_free(own);
    actor_end(&helper);
    nothing_must_be_left();
}

static void allocate_as_large_as_slots(void *mems)
{
    void **large = mems;
    for (int i = 0; i < LARGE_SLOTS_MAX; i++) {
        large[i] = alloc_malloc(LARGE);
    }
    MUST(slots_of(LARGE) == LARGE_SLOTS_MAX);
    while (at_hand(class_size(tcache_class_of(LARGE))) > 0) {
        MUST(alloc_malloc(LARGE) != NULL);
    }
}

static void find_in_the_cache(void *mems)
{
    void **large = mems;
    size_t size = class_size(tcache_class_of(LARGE));
    MUST(at_hand(size) == 0);
    void *mem = alloc_malloc(LARGE);
    MUST(at_hand(size) == LARGE_SLOTS_MAX - 1);
    bool is_one = false;
    for (int i = 0; i <= LARGE_SLOTS_MAX; i++) {
        is_one |= mem == large[i];
    }
    MUST(is_one);
}

/* Large blocks that come home go to the cache of who misses one, as far as it
 * has slots. */
static void large_blocks_come_home_to_the_cache(void *unused)
{
    struct actor helper;
    void *large[LARGE_SLOTS_MAX + 1];
    (void)unused;
    start_remotely(&helper);
    actor_do(&helper, allocate_large, &large[LARGE_SLOTS_MAX]);
    actor_do(&helper, allocate_as_large_as_slots, large);
    for (int i = 0; i <= LARGE_SLOTS_MAX; i++) {
        MUST(owner_of(large[i]) == 2);
        alloc_free(large[i]);
    }
    tcache_flush();
    MUST(inbox_has_any(&arena_numbered(2)->inbox));
    actor_do(&helper, find_in_the_cache, large);
    must_be_sound();
    actor_end(&helper);
    must_be_sound();
}

/* ---- no memory for parcels ---------------------------------------------- */

static void empty_the_pool_of_parcels(void)
{
    faulty_use(&no_memory);
    while (parcel_get() != NULL) {
    }
}

/* So many must do without one before the kernel is asked again. */
static void outwait_refusals_of_parcels(void)
{
    struct parcel *parcel = NULL;
    for (int i = 0; parcel == NULL; i++) {
        MUST(i <= REFUSAL_PATIENCE);
        parcel = parcel_get();
    }
    parcel_put(parcel);
}

/* The cache stays with its old arena until there is memory. */
static void a_cache_moves_when_there_is_memory(void *unused)
{
    struct actor helper, holder;
    (void)unused;
    start_remotely(&helper);
    actor_end(&helper);
    allocate_all(100, SIZE);
    free_all(100);
    size_t before = at_hand(112);
    MUST(before > 0);
    actor_start(&holder);
    actor_do(&holder, hold, &main_arena);
    empty_the_pool_of_parcels();
    void *mem = alloc_malloc(3000);
    MUST(owner_of(mem) == 2 && tcache_self()->owner == 1);
    MUST(at_hand(112) == before);
    alloc_free(mem);
    MUST(!is_cached(mem));
    actor_do(&holder, release, &main_arena);
    must_be_sound();
    faulty_use(NULL);
    outwait_refusals_of_parcels();
    mem = alloc_malloc(3000);
    MUST(owner_of(mem) == 2 && tcache_self()->owner == 2);
    MUST(at_hand(112) == 0);
    alloc_free(mem);
    nothing_must_be_left();
}

static void fill_and_free(void *unused)
{
    (void)unused;
    free_all(1000);
}

static void allocate_blocks(void *unused)
{
    (void)unused;
    allocate_all(1000, SIZE);
}

/* With a parcel nobody would wait. */
static void without_parcels_the_lock_is_waited_for(void *unused)
{
    struct actor worker;
    (void)unused;
    alloc_free(alloc_malloc(SIZE));
    actor_start(&worker);
    actor_do(&worker, allocate_blocks, NULL);
    struct arena *arena = arena_numbered(owner_of(blocks[0]));
    hold(arena);
    empty_the_pool_of_parcels();
    actor_begin(&worker, fill_and_free, NULL);
    actor_await_sleep(&worker);
    release(arena);
    actor_finish(&worker);
    must_be_sound();
    faulty_use(NULL);
    actor_end(&worker);
    nothing_must_be_left();
}

/* Blocks of others are freed at once. */
static void without_parcels_remote_blocks_are_freed_at_once(void *unused)
{
    struct actor helper;
    (void)unused;
    start_remotely(&helper);
    for (int i = 0; i < 100; i++) {
        actor_do(&helper, allocate_remotely, &blocks[i]);
    }
    empty_the_pool_of_parcels();
    for (int i = 0; i < 100; i++) {
        MUST(owner_of(blocks[i]) == 2);
        alloc_free(blocks[i]);
        MUST(!is_cached(blocks[i]));
    }
    faulty_use(NULL);
    actor_end(&helper);
    nothing_must_be_left();
}

/* One of each, whatever the demand. */
static void allocate_all_classes(void *unused)
{
    struct arena *arena = arena_numbered(2);
    (void)unused;
    for (unsigned number = 2; number < CHUNK_CLASSES; number++) {
        blocks[number] = alloc_malloc(class_size(number) - sizeof(size_t));
        MUST(blocks[number] != NULL && !is_object(blocks[number]));
    }
    uint64_t without = arena->run_classes;
    arena->run_classes = UINT64_MAX;
    for (unsigned number = CHUNK_CLASSES; number < CLASS_COUNT; number++) {
        void *mems[MAGAZINE_MAX];
        hold(arena);
        MUST(arena_take(arena, number, mems, 1) == 1);
        release(arena);
        blocks[number] = mems[0];
        block_hand_out(mems[0], number);
        MUST(block_class(mems[0]) == number);
    }
    arena->run_classes = without;
}

/* All sizes that are cached go home in parcels, and find their class there. */
static void blocks_of_all_sizes_are_sent(void *unused)
{
    struct actor helper;
    (void)unused;
    option_set(OPTION_MMAP_THRESHOLD, SIZE_MAX);
    option_set(OPTION_TCACHE_MAX, SIZE_MAX);
    tcache_set_limits();
    start_remotely(&helper);
    actor_do(&helper, allocate_all_classes, NULL);
    struct arena *arena = arena_numbered(2);
    for (unsigned number = 2; number < CLASS_COUNT; number++) {
        if (class_size(number) > DEPOT_BYTES) {
            /* Merged as soon as it is home. */
            alloc_free(blocks[number]);
            continue;
        }
        MUST(owner_of(blocks[number]) == 2);
        alloc_free(blocks[number]);
        MUST(is_cached(blocks[number]));
        tcache_flush();
        hold(arena);
        arena_free_depot(arena, SIZE_MAX);
        arena_sort_arrivals(arena, SIZE_MAX);
        void *mem;
        MUST(arena_take(arena, number, &mem, 1) == 1);
        MUST(mem == blocks[number]);
        arena_give(arena, number, &mem, 1);
        release(arena);
    }
    actor_end(&helper);
    nothing_must_be_left();
}

static void free_twice(void *mem)
{
    alloc_free(mem);
    alloc_free(mem);
}

static void resize_freed(void *mem)
{
    alloc_free(mem);
    alloc_realloc(mem, 2 * SIZE);
}

static void a_cached_block_is_not_freed_again(void **state)
{
    (void)state;
    void *mem = alloc_malloc(SIZE);
    child_must_abort(free_twice, mem,
                     "ptm: free(): double free: address 0x%zx, size 104, "
                     "arena 1",
                     (size_t)mem);
    child_must_abort(resize_freed, mem,
                     "ptm: realloc(): use of a freed block: address 0x%zx, "
                     "size 104, arena 1",
                     (size_t)mem);
}

/* ---- beginning and end -------------------------------------------------- */

static void fill_and_leave(void *unused)
{
    void *mems[200];
    (void)unused;
    for (size_t i = 0; i < count_of(mems); i++) {
        mems[i] = alloc_malloc(16 * i);
    }
    for (size_t i = 0; i < count_of(mems); i++) {
        alloc_free(mems[i]);
    }
    MUST(has_cache());
}

static void note_cache(void *cache)
{
    alloc_free(alloc_malloc(SIZE));
    MUST(has_cache() && at_hand(112) > 0);
    *(struct tcache **)cache = tcache_self();
}

static bool is_zero(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* One more than is kept, and one more. */
static void caches_are_used_again(void *unused)
{
    enum { THREADS = CACHE_SPARES + 2 };
    const struct faulty_plan unmapped = {.kinds = FAULTY_MUNMAP,
                                         .at_least = sizeof(struct tcache)};
    struct actor threads[THREADS], late;
    struct tcache *caches[THREADS], *last;
    (void)unused;
    for (int i = 0; i < THREADS; i++) {
        actor_start(&threads[i]);
        actor_do(&threads[i], note_cache, &caches[i]);
    }
    faulty_use(&unmapped);
    for (int i = 0; i < THREADS; i++) {
        actor_end(&threads[i]);
    }
    MUST(faulty_calls_counted() == 2);
    faulty_use(NULL);
    for (int i = 0; i < CACHE_SPARES; i++) {
        MUST(is_zero((char *)(caches[i] + 1), 4096));
    }
    actor_start(&late);
    actor_do(&late, note_cache, &last);
    bool any = false;
    for (int i = 0; i < CACHE_SPARES; i++) {
        any |= last == caches[i];
    }
    MUST(any);
    actor_end(&late);
    nothing_must_be_left();
}

static void a_thread_takes_nothing_with_it(void *unused)
{
    struct actor threads[4];
    (void)unused;
    for (int i = 0; i < 4; i++) {
        actor_start(&threads[i]);
        actor_do(&threads[i], fill_and_leave, NULL);
    }
    for (int i = 0; i < 4; i++) {
        actor_end(&threads[i]);
    }
    nothing_must_be_left();
}

static void a_cache_moves_with_its_thread(void *unused)
{
    struct actor holder;
    (void)unused;
    allocate_all(100, SIZE);
    free_all(100);
    size_t before = at_hand(112);
    MUST(before > 0);
    actor_start(&holder);
    actor_do(&holder, hold, &main_arena);
    void *mem = alloc_malloc(200000);
    MUST(owner_of(mem) == 2 && tcache_self()->owner == 2);
    MUST(at_hand(112) == 0);
    MUST(inbox_has_any(&main_arena.inbox));
    actor_do(&holder, release, &main_arena);
    void *small = alloc_malloc(SIZE);
    MUST(owner_of(small) == 2);
    alloc_free(small);
    alloc_free(mem);
    nothing_must_be_left();
}

static void use_a_cache(void *unused)
{
    (void)unused;
    for (size_t size = 1; size < 5000; size += 100) {
        alloc_free(alloc_malloc(size));
    }
    MUST(has_cache());
}

/* As a handler of fork may that runs before ours: the thread is not in the sum
 * that begins after it. */
static void the_sum_of_all_caches_is_never_below_zero(void *unused)
{
    struct actor thread;
    (void)unused;
    actor_start(&thread);
    actor_do(&thread, use_a_cache, NULL);
    tcache_after_fork();
    size_t without_it = caches_bytes();
    actor_end(&thread);
    MUST(caches_bytes() <= without_it);
}

/* A signal handler plays the thread that changes something while another does,
 * wherever that one is. */
static struct {
    volatile sig_atomic_t count;
    volatile sig_atomic_t bypass;
} changes;

static void change_bypass(int number)
{
    (void)number;
    changes.bypass = !changes.bypass;
    tcache_bypass(changes.bypass);
    changes.count++;
}

static void limits_are_those_of_the_last_change(void *unused)
{
    enum { CHANGES = 200, MICROSECONDS = 200 };
    const struct itimerval often = {{0, MICROSECONDS}, {0, MICROSECONDS}};
    const struct sigaction action = {.sa_handler = change_bypass};
    size_t small = tcache_limit(&tcache_limits.small);
    bool is_closed = false;
    (void)unused;
    MUST(small > 0);
    MUST(sigaction(SIGALRM, &action, NULL) == 0);
    MUST(setitimer(ITIMER_REAL, &often, NULL) == 0);
    while (changes.count < CHANGES) {
        is_closed = !is_closed;
        tcache_close_gate(is_closed);
        int count = changes.count;
        bool bypass = changes.bypass;
        size_t now = tcache_limit(&tcache_limits.small);
        MUST(count != changes.count ||
             now == (is_closed || bypass ? 0 : small));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_child(the_first_block_of_no_bytes_has_nothing_before_it),
        unit_test_in_child(the_block_freed_last_is_the_next),
        unit_test_in_child(hits_take_no_lock),
        unit_test_in_child(fresh_blocks_come_in_the_order_of_memory),
        unit_test_in_child(fresh_objects_come_in_the_order_of_memory),
        cmocka_unit_test(the_older_half_makes_room),
        unit_test_in_child(a_cache_and_its_depot_are_bounded),
        unit_test_in_child(who_only_frees_keeps_little),
        unit_test_in_child(classes_share_the_room),
        unit_test_in_child(who_only_allocates_gets_slots),
        unit_test_in_child(large_classes_lend_to_each_other),
        unit_test_in_child(cut_blocks_join_a_class_they_serve),
        unit_test_in_child(options_say_what_is_cached),
        unit_test_in_child(without_a_cache_all_goes_on),
        unit_test_in_child(remote_blocks_go_home_without_the_lock),
        unit_test_in_child(a_sender_sorts_where_nobody_does),
        unit_test_in_child(a_cache_moves_when_there_is_memory),
        unit_test_in_child(without_parcels_the_lock_is_waited_for),
        unit_test_in_child(a_large_block_leaves_its_outbox_again),
        unit_test_in_child(an_outbox_keeps_its_other_blocks),
        unit_test_in_child(large_blocks_come_home_to_the_cache),
        unit_test_in_child(without_parcels_remote_blocks_are_freed_at_once),
        unit_test_in_child(blocks_of_all_sizes_are_sent),
        unit_test_in_child(caches_are_used_again),
        unit_test_in_child(a_thread_takes_nothing_with_it),
        unit_test_in_child(a_cache_moves_with_its_thread),
        cmocka_unit_test(a_cached_block_is_not_freed_again),
        unit_test_in_child(the_sum_of_all_caches_is_never_below_zero),
        unit_test_in_child(limits_are_those_of_the_last_change),
    };
    return UNIT_RUN(tests);
}
