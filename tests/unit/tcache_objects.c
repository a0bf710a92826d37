/*
 * tcache_objects.c - objects of runs as malloc and free meet them: when they
 * are handed out, how they are kept, and that they find their way home.
 *
 * Each scene is played in a child, as those of tcache.c are.
 */
#define _GNU_SOURCE
#include "tcache.h"

#include "unit.h"

#include "actor.h"
#include "alloc.h"
#include "arenas.h"
#include "child.h"
#include "faulty_syscall.h"
#include "inspect.h"
#include "options.h"
#include "purge.h"
#include "two_arenas.h"

enum {
    SIZE = 100,
    CLASS = CHUNK_CLASSES + 6, /* 112 bytes */
    MANY = 1000,
};

static void *blocks[MANY];

static size_t in_class(unsigned size_class)
{
    const struct tcache *cache = tcache_self();
    return (size_t)cache->top[size_class] - cache->base[size_class];
}

static bool is_object(const void *mem)
{
    return block_run_class(mem) != 0;
}

/* With a cache, a depot or a parcel, not with its run. */
static bool is_cached(const void *mem)
{
    MUST(is_object(mem));
    return object_is_marked(mem) &&
           !run_has_free(heap_run_of(mem), block_class(mem), mem);
}

static bool is_in_its_run(const void *mem)
{
    MUST(is_object(mem));
    return run_has_free(heap_run_of(mem), block_class(mem), mem);
}

static void must_be_sound(void)
{
    struct damage damage;
    MUST(inspect_everything(&damage));
}

static void nothing_must_be_left(void)
{
    struct arena_stats stats;
    purge_everything(0);
    must_be_sound();
    for (unsigned number = 1; number <= arenas_count(); number++) {
        MUST(arena_stats(arena_numbered(number), &stats));
        MUST(stats.free_chunks == stats.heaps && stats.heaps <= 1);
        MUST(stats.run_blocks == 0 && stats.run_bytes == 0);
    }
}

/* Once the size is in demand. */
static void *object(size_t size)
{
    for (int i = 0; i < MANY; i++) {
        void *mem = alloc_malloc(size);
        MUST(mem != NULL);
        if (is_object(mem)) {
            return mem;
        }
    }
    MUST(!"no object");
    return NULL;
}

static void allocate_objects(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = object(SIZE);
    }
}

static void free_all(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        alloc_free(blocks[i]);
    }
}

#define scene(name) child_must_succeed(name, NULL)

/* ---- who gets objects --------------------------------------------------- */

static void want_little(void *unused)
{
    (void)unused;
    size_t enough = RUN_DEMAND / 112;
    for (size_t i = 0; i + 2 < enough; i++) {
        MUST(!is_object(alloc_malloc(SIZE)));
    }
    for (size_t size = 1; size <= RUN_OBJECT_MAX; size += 50) {
        MUST(!is_object(alloc_malloc(size)));
    }
    MUST(main_arena.heaps->runs == NULL && main_arena.run_classes == 0);
}

static void who_wants_little_gets_chunks(void **state)
{
    (void)state;
    scene(want_little);
}

static void want_much(void *unused)
{
    (void)unused;
    object(SIZE);
    MUST(main_arena.run_classes == (uint64_t)1 << (CLASS - CHUNK_CLASSES));
    /* All requests of that class, and no others but those that the same chunks
     * would have served. */
    for (size_t size = 97; size <= 112; size++) {
        void *mem = object(size);
        MUST(block_class(mem) == CLASS && alloc_usable_size(mem) == 112);
    }
    MUST(!is_object(alloc_malloc(88)) && !is_object(alloc_malloc(113)));
    must_be_sound();
}

static void who_wants_much_gets_objects(void **state)
{
    (void)state;
    scene(want_much);
}

static void set_the_largest(void *unused)
{
    (void)unused;
    option_set(OPTION_RUN_MAX, 64);
    for (int i = 0; i < MANY; i++) {
        MUST(!is_object(alloc_malloc(65)));
        MUST(!is_object(alloc_memalign(128, 100)));
    }
    object(64);
    option_set(OPTION_RUN_MAX, 0);
    for (int i = 0; i < MANY; i++) {
        MUST(!is_object(alloc_malloc(30)));
    }
    must_be_sound();
}

static void an_option_says_how_large_objects_are(void **state)
{
    (void)state;
    scene(set_the_largest);
}

/* A power of two and its multiples, up to the largest object. */
static void align(void *unused)
{
    (void)unused;
    for (size_t alignment = 32; alignment <= RUN_OBJECT_MAX; alignment *= 2) {
        for (size_t size = alignment; size <= RUN_OBJECT_MAX;
             size += alignment) {
            void *mem = NULL;
            for (int i = 0; i < 100 && (mem == NULL || !is_object(mem)); i++) {
                mem = alloc_memalign(alignment, size - i % 16);
                MUST((uintptr_t)mem % alignment == 0);
            }
            MUST(is_object(mem) && alloc_usable_size(mem) == size);
            memset(mem, 1, size);
            alloc_free(mem);
            MUST(is_cached(mem));
            MUST(alloc_memalign(alignment, size) == mem);
        }
    }
    MUST(!is_object(alloc_memalign(2048, 10)));
    MUST(!is_object(alloc_memalign(64, RUN_OBJECT_MAX + 1)));
    must_be_sound();
}

static void aligned_requests_get_objects(void **state)
{
    (void)state;
    scene(align);
}

/* The table of runs is what is refused. */
static void be_refused_runs(void *unused)
{
    const struct faulty_plan no_maps = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)unused;
    alloc_free(alloc_malloc(SIZE));
    faulty_use(&no_maps);
    for (int i = 0; i < MANY / 2; i++) {
        blocks[i] = alloc_malloc(SIZE);
        MUST(blocks[i] != NULL && !is_object(blocks[i]));
    }
    MUST(alloc_memalign(64, 64) != NULL);
    MUST(faulty_calls_refused() > 1 && main_arena.heaps->runs == NULL);
    must_be_sound();
    faulty_use(NULL);
    for (int i = MANY / 2; i < MANY; i++) {
        blocks[i] = alloc_malloc(SIZE);
    }
    MUST(is_object(blocks[MANY - 1]));
    must_be_sound();
}

static void where_no_run_can_be_made_chunks_serve(void **state)
{
    (void)state;
    scene(be_refused_runs);
}

/* ---- in the cache ------------------------------------------------------- */

static void do_without_the_lock(void *unused)
{
    struct actor holder;
    (void)unused;
    char *mem = object(SIZE);
    char *aligned = object(64);
    alloc_free(mem);
    MUST(is_cached(mem));
    alloc_free(aligned);
    actor_start(&holder);
    actor_do(&holder, hold, &main_arena);
    for (int i = 0; i < 100; i++) {
        MUST(alloc_malloc(SIZE) == mem);
        MUST(!is_cached(mem));
        alloc_free(mem);
        MUST(alloc_memalign(64, 50) == aligned);
        memset(aligned, 1, 64);
        alloc_free(aligned);
        memset(alloc_malloc(SIZE), 0xff, SIZE);
        alloc_free(mem);
        char *zero = alloc_calloc(SIZE);
        MUST(zero == mem);
        for (int j = 0; j < SIZE; j++) {
            MUST(zero[j] == 0);
        }
        MUST(alloc_realloc(mem, 112) == mem);
        MUST(alloc_usable_size(mem) == 112);
        alloc_free(mem);
    }
    MUST(arenas_count() == 1);
    actor_do(&holder, release, &main_arena);
    must_be_sound();
}

static void hits_take_no_lock(void **state)
{
    (void)state;
    scene(do_without_the_lock);
}

/* To what is more than half of it; else it moves. */
static void resize(void *unused)
{
    (void)unused;
    char *mem = object(SIZE);
    memset(mem, 'x', 112);
    for (size_t size = 112; size > 56; size--) {
        MUST(alloc_realloc(mem, size) == mem);
    }
    char *smaller = alloc_realloc(mem, 56);
    MUST(smaller != mem && is_cached(mem));
    for (int i = 0; i < 56; i++) {
        MUST(smaller[i] == 'x');
    }
    mem = object(SIZE);
    memset(mem, 'y', 112);
    char *larger = alloc_realloc(mem, 113);
    MUST(larger != mem && is_cached(mem) && alloc_usable_size(larger) >= 113);
    for (int i = 0; i < 112; i++) {
        MUST(larger[i] == 'y');
    }
    must_be_sound();
}

static void objects_are_resized(void **state)
{
    (void)state;
    scene(resize);
}

/* One that shrinks does not depend on memory, one that grows is left whole. */
static void resize_without_memory(void *unused)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_ALL, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)unused;
    option_set(OPTION_ARENA_MAX, 1);
    char *mem = object(1024);
    memset(mem, 'x', 1024);
    faulty_use(&no_memory);
    for (size_t size = 1 << 20; size >= 16; size /= 2) {
        while (alloc_malloc(size) != NULL) {
        }
    }
    MUST(alloc_realloc(mem, 2000) == NULL);
    MUST(alloc_realloc(mem, 100) == mem);
    for (int i = 0; i < 1024; i++) {
        MUST(mem[i] == 'x');
    }
    faulty_use(NULL);
    must_be_sound();
}

static void without_memory_an_object_can_shrink(void **state)
{
    (void)state;
    scene(resize_without_memory);
}

/* What the fast paths take for a mark by its half is looked at again. */
static void write_half_a_mark(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++) {
        char *mem = object(SIZE);
        uint32_t half = (uint32_t)object_mark(mem);
        memcpy(mem + 8, &half, sizeof half);
        MUST(alloc_usable_size(mem) == 112 && alloc_realloc(mem, SIZE) == mem);
        alloc_free(mem);
        MUST(is_cached(mem));
        MUST(alloc_malloc(SIZE) == mem);
    }
    must_be_sound();
}

static void half_a_mark_is_none(void **state)
{
    (void)state;
    scene(write_half_a_mark);
}

/* What may not be cached any more goes back to its run, marked all the same. */
static void stop_caching(void *unused)
{
    (void)unused;
    allocate_objects(3);
    option_set(OPTION_TCACHE_MAX, 64);
    tcache_set_limits();
    alloc_free(blocks[0]);
    MUST(is_in_its_run(blocks[0]) && object_is_marked(blocks[0]));
    option_set(OPTION_TCACHE_MAX, DEFAULT_TCACHE_MAX);
    tcache_bypass(true);
    alloc_free(blocks[1]);
    MUST(is_in_its_run(blocks[1]) && object_is_marked(blocks[1]));
    tcache_bypass(false);
    alloc_free(blocks[2]);
    MUST(is_cached(blocks[2]));
    must_be_sound();
}

static void what_is_not_cached_goes_back_to_its_run(void **state)
{
    (void)state;
    scene(stop_caching);
}

static void perturb(void *unused)
{
    (void)unused;
    allocate_objects(2);
    char *mem = blocks[0];
    option_set(OPTION_PERTURB, 0x5a);
    tcache_set_limits();
    alloc_free(mem);
    MUST(is_in_its_run(mem) && object_is_marked(mem));
    for (int i = 0; i < 112; i++) {
        MUST(mem[i] == 0x5a || (i >= 8 && i < 16));
    }
    must_be_sound();
}

static void freed_objects_are_perturbed(void **state)
{
    (void)state;
    scene(perturb);
}

/* ---- home --------------------------------------------------------------- */

static void allocate_remotely(void *mem)
{
    *(void **)mem = object(SIZE);
}

static void start_remotely(struct actor *helper)
{
    void *mem;
    start_in_arena_2(helper, allocate_remotely, &mem);
}

static void free_remotely(void *unused)
{
    struct actor helper, holder;
    (void)unused;
    start_remotely(&helper);
    struct arena *other = arena_numbered(2);
    for (int i = 0; i < MANY; i++) {
        actor_do(&helper, allocate_remotely, &blocks[i]);
        MUST(owner_of(blocks[i]) == 2);
    }
    actor_start(&holder);
    actor_do(&holder, hold, other);
    free_all(MANY);
    tcache_flush();
    for (int i = 0; i < MANY; i++) {
        MUST(is_cached(blocks[i]));
    }
    MUST(inbox_has_any(&other->inbox));
    actor_do(&holder, release, other);
    must_be_sound();
    /* All of them, each once, when the arena looks. */
    hold(other);
    arena_sort_arrivals(other, SIZE_MAX);
    arena_free_depot(other, SIZE_MAX);
    release(other);
    for (int i = 0; i < MANY; i++) {
        MUST(block_run_class(blocks[i]) == 0 || is_in_its_run(blocks[i]));
    }
    must_be_sound();
    actor_end(&helper);
}

static void remote_objects_go_home_without_the_lock(void **state)
{
    (void)state;
    scene(free_remotely);
}

/* Half a mark: not by parcel, but home. */
static void free_half_marked_remotely(void *unused)
{
    struct actor helper;
    void *mem;
    (void)unused;
    start_remotely(&helper);
    actor_do(&helper, allocate_remotely, &mem);
    uint32_t half = (uint32_t)object_mark(mem);
    memcpy((char *)mem + 8, &half, sizeof half);
    alloc_free(mem);
    MUST(is_in_its_run(mem));
    must_be_sound();
    actor_end(&helper);
}

static void a_remote_object_with_half_a_mark_is_freed(void **state)
{
    (void)state;
    scene(free_half_marked_remotely);
}

static void be_driven_out(void *unused)
{
    struct actor holder;
    (void)unused;
    allocate_objects(100);
    free_all(100);
    MUST(in_class(CLASS) > 0);
    actor_start(&holder);
    actor_do(&holder, hold, &main_arena);
    void *mem = alloc_malloc(200000);
    MUST(owner_of(mem) == 2 && tcache_self()->owner == 2);
    MUST(in_class(CLASS) == 0 && inbox_has_any(&main_arena.inbox));
    actor_do(&holder, release, &main_arena);
    /* The new arena has its own demand. */
    void *small = alloc_malloc(SIZE);
    MUST(owner_of(small) == 2 && !is_object(small));
    void *here = object(SIZE);
    MUST(owner_of(here) == 2);
    alloc_free(here);
    MUST(is_cached(here) && in_class(CLASS) > 0);
    must_be_sound();
}

static void a_cache_leaves_its_objects_behind(void **state)
{
    (void)state;
    scene(be_driven_out);
}

static void fill_and_leave(void *unused)
{
    (void)unused;
    for (size_t size = 1; size <= RUN_OBJECT_MAX; size += 13) {
        void *mem = object(size);
        void *another = object(size);
        alloc_free(mem);
        alloc_free(another);
    }
}

static void let_a_thread_end(void *unused)
{
    struct actor thread;
    (void)unused;
    actor_start(&thread);
    actor_do(&thread, fill_and_leave, NULL);
    MUST(main_arena.runs.count > 0);
    actor_end(&thread);
    must_be_sound();
    hold(&main_arena);
    arena_free_depot(&main_arena, SIZE_MAX);
    release(&main_arena);
    MUST(main_arena.runs.count == 0);
    must_be_sound();
}

static void a_thread_takes_no_objects_with_it(void **state)
{
    (void)state;
    scene(let_a_thread_end);
}

static void use_and_leave_nothing(void *unused)
{
    static void *all[64][40];
    (void)unused;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 64; i++) {
            for (size_t j = 0; j < 40; j++) {
                all[i][j] = j % 4 == 0 ? alloc_memalign(64, 16 * (i + 1))
                                       : alloc_malloc(16 * (i + 1));
                memset(all[i][j], 1, 16 * (i + 1));
            }
        }
        must_be_sound();
        for (size_t i = 0; i < 64; i++) {
            for (size_t j = 0; j < 40; j++) {
                alloc_free(all[i][j]);
            }
        }
        must_be_sound();
    }
    nothing_must_be_left();
}

static void in_the_end_there_is_no_run(void **state)
{
    (void)state;
    scene(use_and_leave_nothing);
}

/* Without a cache: told at once when it is freed again with one. */
static void free_it(void *mem)
{
    alloc_free(mem);
}

static void free_after_a_new_thread(void *mem)
{
    struct actor thread;
    actor_start(&thread);
    actor_do(&thread, free_it, mem);
    alloc_free(mem);
}

static void an_object_freed_without_a_cache_is_marked(void **state)
{
    (void)state;
    allocate_objects(20);
    child_must_abort(free_after_a_new_thread, blocks[10],
                     "ptm: free(): double free: address 0x%zx, size 112, "
                     "arena 1",
                     (size_t)blocks[10]);
}

/* Blocks[0] is the only object that waits for a cache, in the depot. */
static void leave_one_in_the_depot(void)
{
    void *others[MAGAZINE_MAX];
    allocate_objects(2);
    alloc_free(blocks[0]);
    tcache_flush();
    hold(&main_arena);
    while (depot_take(&main_arena.depot, CLASS, others, MAGAZINE_MAX) > 0) {
    }
    MUST(depot_give(&main_arena.depot, CLASS, blocks, 1) == 1);
    release(&main_arena);
}

static void write_and_allocate(void *mem)
{
    leave_one_in_the_depot();
    ((char *)mem)[15] ^= 1;
    alloc_malloc(SIZE);
}

/* The first of a refill too, which is never in the cache. */
static void an_object_written_to_is_not_handed_out(void **state)
{
    (void)state;
    allocate_objects(1);
    alloc_free(blocks[0]);
    void *next = blocks[0]; /* the child gets it first */
    child_must_abort(write_and_allocate, next,
                     "ptm: malloc(): block written to after its free: address "
                     "0x%zx, size 112, arena 1",
                     (size_t)next);
}

/* Those of which a page was given back in part, and some are in use. */
static size_t leave_a_few(void **few)
{
    size_t count = 0;
    allocate_objects(MANY);
    for (size_t i = 0; i < MANY; i++) {
        if (i % 100 >= 3) {
            alloc_free(blocks[i]);
        }
    }
    purge_everything(0);
    for (size_t i = 0; i < MANY; i++) {
        struct heap *heap = heap_for_ptr(blocks[i]);
        if (i % 100 < 3 &&
            (heap_page_byte(heap, blocks[i]) & RUN_WATCHED) != 0) {
            few[count++] = blocks[i];
        }
    }
    MUST(count > 10);
    return count;
}

/* One by one, and no other is sent away for it. */
static void free_in_watched_pages(void *unused)
{
    void *few[MANY];
    (void)unused;
    size_t count = leave_a_few(few);
    size_t in_runs = main_arena.runs.free_objects;
    MUST(in_class(CLASS) == 0 && tcache_self()->capacity[CLASS] > count);
    for (size_t i = 0; i < count; i++) {
        MUST(!tcache_free(few[i]));
        alloc_free(few[i]);
        MUST(in_class(CLASS) == i + 1 && is_cached(few[i]));
    }
    MUST(main_arena.runs.free_objects == in_runs);
    /* The newest first. */
    for (size_t i = count; i-- > 0;) {
        MUST(alloc_malloc(SIZE) == few[i]);
    }
    must_be_sound();
}

static void objects_of_watched_pages_are_cached(void **state)
{
    (void)state;
    scene(free_in_watched_pages);
}

static void realloc_in_watched_pages(void *unused)
{
    void *few[MANY];
    (void)unused;
    size_t count = leave_a_few(few);
    for (size_t i = 0; i < count; i++) {
        memset(few[i], (int)i, SIZE);
        MUST(alloc_usable_size(few[i]) == 112);
        MUST(alloc_realloc(few[i], 112) == few[i]);
        char *moved = alloc_realloc(few[i], 500);
        MUST(moved[0] == (char)i && moved[SIZE - 1] == (char)i);
        MUST(is_cached(few[i]));
        alloc_free(moved);
    }
    must_be_sound();
}

static void objects_of_watched_pages_are_resized(void **state)
{
    (void)state;
    scene(realloc_in_watched_pages);
}

static void free_all_of(void *few)
{
    for (void **mem = few; *mem != NULL; mem++) {
        alloc_free(*mem);
    }
}

static void flush(void *unused)
{
    (void)unused;
    tcache_flush();
}

static bool is_watched(const void *mem)
{
    return (heap_page_byte(heap_for_ptr(mem), mem) & RUN_WATCHED) != 0;
}

/* Allocated and freed until the fast path takes it; how often. */
static unsigned frees_until_taken(void *mem)
{
    unsigned frees = 0;
    while (!tcache_free(mem)) {
        MUST(is_watched(mem) && ++frees <= 2 * WATCH_PATIENCE);
        alloc_free(mem);
        MUST(is_cached(mem) && alloc_malloc(SIZE) == mem);
    }
    return frees;
}

static void be_busy_in_a_watched_page(void *unused)
{
    void *few[MANY];
    struct actor holder;
    (void)unused;
    /* Who frees on a slow machine does not look for what has become idle: that
     * would be to wait for the lock that is held below. */
    option_set(OPTION_DECAY, UINT32_MAX);
    leave_a_few(few);
    unsigned watched = frees_until_taken(few[0]);
    MUST(watched == WATCH_PATIENCE && !is_watched(few[0]));
    must_be_sound();
    /* Who has to wait for the lock does not. */
    actor_start(&holder);
    actor_do(&holder, hold, &main_arena);
    void *other = few[0];
    for (size_t i = 1; !is_watched(other); i++) {
        other = few[i];
    }
    for (unsigned i = 0; i < WATCH_PATIENCE; i++) {
        alloc_free(other);
        MUST(alloc_malloc(SIZE) == other && is_watched(other));
    }
    actor_do(&holder, release, &main_arena);
    actor_end(&holder);
    MUST(frees_until_taken(other) == WATCH_PATIENCE);
    must_be_sound();
    /* It may go back again when it is idle. */
    size_t watched_page = heap_page_of(other);
    MUST(heap_for_ptr(other)->page_given[watched_page] == GIVEN_LATELY);
    purge_everything(0);
    MUST(is_watched(other));
    must_be_sound();
}

static void a_busy_page_is_not_watched(void **state)
{
    (void)state;
    scene(be_busy_in_a_watched_page);
}

static void be_busy_from_afar(void *unused)
{
    static void *few[MANY + 1];
    struct actor helper;
    size_t freed = 0, ended = 0;
    (void)unused;
    start_remotely(&helper);
    while (ended == 0) {
        size_t count = leave_a_few(few);
        few[count] = NULL;
        MUST(freed < WATCH_PATIENCE);
        freed += count;
        actor_do(&helper, free_all_of, few);
        for (size_t i = 0; i < count; i++) {
            MUST(block_run_class(few[i]) != 0);
            ended += !is_watched(few[i]);
        }
        must_be_sound();
    }
    MUST(freed >= WATCH_PATIENCE);
    actor_end(&helper);
}

static void a_page_that_is_busy_from_afar_is_not_watched(void **state)
{
    (void)state;
    scene(be_busy_from_afar);
}

/* By a thread of another arena, which does not wait for the lock. */
static void free_watched_remotely(void *unused)
{
    static void *few[MANY + 1];
    struct actor helper, holder;
    (void)unused;
    start_remotely(&helper);
    size_t count = leave_a_few(few);
    actor_start(&holder);
    actor_do(&holder, hold, &main_arena);
    actor_do(&helper, free_all_of, few);
    actor_do(&helper, flush, NULL);
    for (size_t i = 0; i < count; i++) {
        MUST(is_cached(few[i]));
    }
    MUST(inbox_has_any(&main_arena.inbox));
    actor_do(&holder, release, &main_arena);
    actor_end(&helper);
    actor_end(&holder);
    must_be_sound();
    purge_everything(0);
    for (size_t i = 0; i < count; i++) {
        MUST(block_run_class(few[i]) == 0 || is_in_its_run(few[i]));
    }
    must_be_sound();
}

static void objects_of_watched_pages_go_home(void **state)
{
    (void)state;
    scene(free_watched_remotely);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_wants_little_gets_chunks),
        cmocka_unit_test(who_wants_much_gets_objects),
        cmocka_unit_test(an_option_says_how_large_objects_are),
        cmocka_unit_test(aligned_requests_get_objects),
        cmocka_unit_test(where_no_run_can_be_made_chunks_serve),
        cmocka_unit_test(hits_take_no_lock),
        cmocka_unit_test(objects_are_resized),
        cmocka_unit_test(without_memory_an_object_can_shrink),
        cmocka_unit_test(half_a_mark_is_none),
        cmocka_unit_test(what_is_not_cached_goes_back_to_its_run),
        cmocka_unit_test(freed_objects_are_perturbed),
        cmocka_unit_test(remote_objects_go_home_without_the_lock),
        cmocka_unit_test(a_remote_object_with_half_a_mark_is_freed),
        cmocka_unit_test(a_cache_leaves_its_objects_behind),
        cmocka_unit_test(a_thread_takes_no_objects_with_it),
        cmocka_unit_test(in_the_end_there_is_no_run),
        cmocka_unit_test(an_object_freed_without_a_cache_is_marked),
        cmocka_unit_test(an_object_written_to_is_not_handed_out),
        cmocka_unit_test(objects_of_watched_pages_are_cached),
        cmocka_unit_test(objects_of_watched_pages_are_resized),
        cmocka_unit_test(objects_of_watched_pages_go_home),
        cmocka_unit_test(a_busy_page_is_not_watched),
        cmocka_unit_test(a_page_that_is_busy_from_afar_is_not_watched),
    };
    return UNIT_RUN(tests);
}
