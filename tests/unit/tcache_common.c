/*
 * tcache_common.c - threads that trade blocks: whose caches take blocks of
 * other arenas, from when on, and where these blocks go.
 *
 * Each scene is played in a child, as those of tcache.c are. This thread's
 * arena is 1, the helper's 2.
 */
#define _GNU_SOURCE
#include "tcache.h"

#include "unit.h"

#include "actor.h"
#include "alloc.h"
#include "arenas.h"
#include "caches.h"
#include "child.h"
#include "faulty_syscall.h"
#include "inspect.h"
#include "options.h"
#include "purge.h"
#include "sleepers.h"
#include "two_arenas.h"

enum {
    SIZE = 500,
    FEW = 8,
    MANY = 3000,
    SET = 200, /* what each of two traders has of the other's */
    TURNS = 50,
    LARGE = 100000,
};

static void *blocks[MANY];
static void *others[MANY];

static unsigned owner_in_tag(const void *mem)
{
    return tag_owner(tcache_tag_of(mem));
}

/* What the cache takes. */
static unsigned owner_taken(void)
{
    return tag_owner((unsigned)tcache_self()->first_tag);
}

static size_t in_class(unsigned size_class)
{
    const struct tcache *cache = tcache_self();
    return (size_t)cache->top[size_class] - cache->base[size_class];
}

static bool is_cached(const void *mem)
{
    return block_run_class(mem) != 0
               ? object_is_marked(mem) &&
                     !run_has_free(heap_run_of(mem), block_class(mem), mem)
               : chunk_is_cached(mem2chunk(mem));
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

static void allocate(void *mem)
{
    *(void **)mem = alloc_malloc(SIZE);
}

static void fill(void **mems, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        mems[i] = alloc_malloc(size);
        MUST(mems[i] != NULL);
    }
}

static void drop(void **mems, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        alloc_free(mems[i]);
    }
}

static void replace(void **mems, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        alloc_free(mems[i]);
        mems[i] = alloc_malloc(SIZE);
        MUST(mems[i] != NULL);
    }
}

static void fill_others(void *unused)
{
    (void)unused;
    fill(others, SET, SIZE);
}

static void replace_blocks(void *unused)
{
    (void)unused;
    replace(blocks, SET);
}

static void replace_others(void *unused)
{
    (void)unused;
    replace(others, SET);
}

/* Each of the two replaces both sets in turn, over and over: what it frees is
 * the other's. */
static void trade(struct actor *helper)
{
    for (int i = 0; i < TURNS; i++) {
        replace_blocks(NULL);
        actor_do(helper, replace_blocks, NULL);
        actor_do(helper, replace_others, NULL);
        replace_others(NULL);
    }
}

/* Both arenas are common then, and nothing is in use. */
static void start_traders(struct actor *helper)
{
    void *mem;
    start_in_arena_2(helper, allocate, &mem);
    alloc_free(mem);
    fill(blocks, SET, SIZE);
    actor_do(helper, fill_others, NULL);
    trade(helper);
    MUST(arena_is_common(&main_arena) && arena_is_common(arena_numbered(2)));
    drop(blocks, SET);
    drop(others, SET);
}

static void flush(void *unused)
{
    (void)unused;
    tcache_flush();
}

static void end_traders(struct actor *helper)
{
    tcache_flush();
    actor_do(helper, flush, NULL);
    actor_end(helper);
    nothing_must_be_left();
}

/* A block of arena 2, which its own thread gets. */
static void *allocate_remotely(struct actor *helper)
{
    void *mem;
    actor_do(helper, flush, NULL);
    do {
        actor_do(helper, allocate, &mem);
    } while (owner_of(mem) != 2);
    return mem;
}

/* This thread's cache has slots for blocks of that size, and no blocks. */
static void make_slots(void)
{
    fill(blocks, SET, SIZE);
    drop(blocks, SET);
    tcache_flush();
}

/* ---- who trades --------------------------------------------------------- */

static void who_trades_becomes_common(void *unused)
{
    struct actor helper;
    (void)unused;
    start_traders(&helper);
    void *mem = alloc_malloc(LARGE);
    MUST(owner_taken() == TAG_COMMON && tcache_self()->owner == 1);
    MUST(owner_in_tag(main_arena.heaps) == TAG_COMMON);
    MUST(owner_of(main_arena.heaps) == 1);
    MUST(owner_of(arena_numbered(2)->heaps) == 2);
    alloc_free(mem);
    end_traders(&helper);
}

static void who_only_frees_does_not(void *unused)
{
    struct actor helper;
    void *mem;
    (void)unused;
    start_in_arena_2(&helper, allocate, &mem);
    alloc_free(mem);
    for (int i = 0; i < TURNS; i++) {
        actor_do(&helper, fill_others, NULL);
        drop(others, SET);
    }
    alloc_free(alloc_malloc(LARGE));
    MUST(!arena_is_common(&main_arena) && !arena_is_common(arena_numbered(2)));
    MUST(owner_taken() == 1 && !tcache_self()->is_mixed);
    end_traders(&helper);
}

static void replace_many(void *unused)
{
    (void)unused;
    replace(blocks, MANY);
    replace(blocks, MANY);
}

/* That is once as much as lives in the arena of who does. */
static void who_takes_over_does_not(void *unused)
{
    struct actor helper;
    void *mem;
    (void)unused;
    start_in_arena_2(&helper, allocate, &mem);
    alloc_free(mem);
    fill(blocks, MANY, SIZE);
    actor_do(&helper, replace_many, NULL);
    for (int i = 0; i < MANY; i++) {
        MUST(owner_of(blocks[i]) == 2);
    }
    MUST(!arena_is_common(arena_numbered(2)));
    drop(blocks, MANY);
    end_traders(&helper);
}

/* Where its first is full. */
static void so_is_a_heap_that_comes_later(void *unused)
{
    static void *fillers[HEAP_MAX_SIZE / LARGE + 1];
    struct actor helper;
    (void)unused;
    start_traders(&helper);
    fill(fillers, count_of(fillers), LARGE);
    MUST(main_arena.heap_count == 2);
    for (size_t i = 0; i < count_of(fillers); i++) {
        MUST(owner_in_tag(fillers[i]) == TAG_COMMON &&
             owner_of(fillers[i]) == 1);
    }
    drop(fillers, count_of(fillers));
    end_traders(&helper);
}

/* ---- what becomes of the blocks ----------------------------------------- */

static void must_refuse(void *mem)
{
    MUST(!tcache_free(mem));
}

static void a_block_of_the_other_stays_and_is_the_next(void *unused)
{
    struct actor helper;
    (void)unused;
    start_traders(&helper);
    make_slots();
    void *mem = allocate_remotely(&helper);
    unsigned size_class = block_class(mem);
    MUST(tcache_free(mem));
    MUST(in_class(size_class) == 1 && is_cached(mem));
    /* Whoever frees it again. */
    must_refuse(mem);
    actor_do(&helper, must_refuse, mem);
    MUST(alloc_malloc(SIZE) == mem);
    alloc_free(mem);
    end_traders(&helper);
}

static void where_there_is_no_slot_it_goes_home(void *unused)
{
    struct actor helper, holder;
    (void)unused;
    start_traders(&helper);
    make_slots();
    for (int i = 0; i < MANY; i++) {
        others[i] = allocate_remotely(&helper);
    }
    struct arena *other = arena_numbered(2);
    unsigned size_class = block_class(others[0]);
    actor_start(&holder);
    actor_do(&holder, hold, other);
    drop(others, MANY);
    MUST(in_class(size_class) == tcache_self()->capacity[size_class]);
    MUST(inbox_has_any(&other->inbox));
    tcache_flush();
    MUST(in_class(size_class) == 0);
    for (int i = 0; i < MANY; i++) {
        MUST(is_cached(others[i]));
    }
    actor_do(&holder, release, other);
    actor_end(&holder);
    must_be_sound();
    end_traders(&helper);
}

/* Blocks of both in turn; the older half leaves when the next has no slot. */
static void what_leaves_the_cache_is_sorted(void *unused)
{
    struct actor helper;
    (void)unused;
    start_traders(&helper);
    for (int i = 0; i < SET; i++) {
        others[i] = allocate_remotely(&helper);
    }
    fill(blocks, SET, SIZE);
    for (int i = 0; i < SET; i++) {
        alloc_free(others[i]);
        alloc_free(blocks[i]);
    }
    tcache_flush();
    for (int i = 0; i < SET; i++) {
        MUST(in_class(block_class(blocks[i])) == 0);
    }
    must_be_sound();
    end_traders(&helper);
}

static const struct faulty_plan no_memory = {
    .kinds = FAULTY_MMAP | FAULTY_MPROTECT | FAULTY_MREMAP,
    .first = 1,
    .how_many = FAULTY_FOR_EVER,
};

/* Without a parcel the lock of its arena is waited for. */
static void without_parcels_it_goes_home_as_well(void *unused)
{
    struct actor helper;
    (void)unused;
    start_traders(&helper);
    make_slots();
    void *mem = allocate_remotely(&helper);
    struct arena *other = arena_numbered(2);
    alloc_free(mem);
    MUST(in_class(block_class(mem)) == 1);
    size_t before = other->depot.blocks;
    faulty_use(&no_memory);
    while (parcel_get() != NULL) {
    }
    tcache_flush();
    MUST(in_class(block_class(mem)) == 0);
    MUST(other->depot.blocks == before + 1);
    faulty_use(NULL);
    end_traders(&helper);
}

/* What an arena is asked for with its lock held is its own. */
static void a_refill_hands_out_its_arenas_own(void *unused)
{
    struct actor helper;
    (void)unused;
    start_traders(&helper);
    make_slots();
    for (int i = 0; i < FEW; i++) {
        others[i] = allocate_remotely(&helper);
    }
    unsigned size_class = block_class(others[0]);
    drop(others, FEW);
    MUST(in_class(size_class) == FEW);
    hold(&main_arena);
    void *mem = tcache_refill(&main_arena, SIZE);
    release(&main_arena);
    MUST(owner_of(mem) == 1 && in_class(size_class) == FEW);
    /* The same where one of its own lies below. */
    tcache_flush();
    alloc_free(mem);
    for (int i = 0; i < FEW; i++) {
        others[i] = allocate_remotely(&helper);
    }
    drop(others, FEW);
    hold(&main_arena);
    MUST(tcache_refill(&main_arena, SIZE) == mem);
    release(&main_arena);
    MUST(in_class(size_class) == FEW);
    for (int i = 0; i < FEW; i++) {
        MUST(owner_of(alloc_malloc(SIZE)) == 2);
    }
    drop(others, FEW);
    alloc_free(mem);
    end_traders(&helper);
}

/* Large classes get all slots that the cache may have. */
static void use_all_room(void)
{
    for (size_t size = 2000; size < 2 * LARGE; size += size / 8) {
        fill(blocks, 3 * LARGE_SLOTS_MAX, size);
        drop(blocks, 3 * LARGE_SLOTS_MAX);
    }
}

/* Then the arena's lock is held when slots that nobody uses are taken away: of
 * classes that have other arenas' blocks they are not. */
static void who_only_allocates_keeps_blocks_of_others(void *unused)
{
    const size_t each = MANY / 31;
    struct actor helper;
    size_t count = 0;
    (void)unused;
    start_traders(&helper);
    use_all_room();
    make_slots();
    for (int i = 0; i < FEW; i++) {
        others[i] = allocate_remotely(&helper);
    }
    drop(others, FEW);
    unsigned size_class = block_class(others[0]);
    MUST(in_class(size_class) == FEW);
    struct tcache *cache = tcache_self();
    for (size_t size = RUN_OBJECT_MAX; size >= 64; size -= 32) {
        bool is_other = size < SIZE - 2 * FEW || size > SIZE + 100;
        cache->hand = size_class; /* which comes by again */
        cache->seen[size_class] = FEW + 1;
        fill(&blocks[count], each, is_other ? size : 64);
        count += each;
    }
    MUST(in_class(size_class) == FEW);
    must_be_sound();
    drop(blocks, count);
    end_traders(&helper);
}

static void rob(void *robbed)
{
    for (size_t place = 0; place < CACHES_LISTED; place++) {
        if (caches_listed[place] == *(struct tcache **)robbed) {
            MUST(sleepers_rob(place) == !UNIT_UNDER_TSAN);
        }
    }
}

/* Of a thread that sleeps. Each goes to its arena. Under the thread sanitizer
 * there are no barriers, and so no visits. */
static void a_visitor_sorts_what_it_takes(void *unused)
{
    struct actor helper, visitor;
    (void)unused;
    start_traders(&helper);
    make_slots();
    for (int i = 0; i < FEW; i++) {
        others[i] = allocate_remotely(&helper);
        blocks[i] = alloc_malloc(SIZE);
        MUST(owner_of(blocks[i]) == 1);
    }
    tcache_flush();
    for (int i = 0; i < FEW; i++) {
        MUST(tcache_free(others[i]) && tcache_free(blocks[i]));
    }
    unsigned size_class = block_class(blocks[0]);
    MUST(in_class(size_class) == 2 * FEW);
    struct tcache *cache = tcache_self();
    actor_start(&visitor);
    actor_do(&visitor, rob, &cache);
    actor_end(&visitor);
    MUST(in_class(size_class) == (UNIT_UNDER_TSAN ? 2 * FEW : 1));
    for (int i = 0; i < FEW && !UNIT_UNDER_TSAN; i++) {
        MUST(run_has_free(heap_run_of(others[i]), size_class, others[i]));
        MUST(i + 1 == FEW ||
             run_has_free(heap_run_of(blocks[i]), size_class, blocks[i]));
    }
    must_be_sound();
    MUST(alloc_malloc(SIZE) == blocks[FEW - 1]);
    alloc_free(blocks[FEW - 1]);
    end_traders(&helper);
}

static void write_and_allocate(void *mem)
{
    ((char *)mem)[15] ^= 1;
    alloc_malloc(SIZE);
}

/* Where the arena has others to hand out. */
static void what_was_written_to_is_not_handed_out(void *unused)
{
    struct actor helper;
    (void)unused;
    start_traders(&helper);
    make_slots();
    void *mem = allocate_remotely(&helper);
    unsigned size_class = block_class(mem);
    MUST(class_is_run(size_class));
    alloc_free(mem);
    child_must_abort(write_and_allocate, mem,
                     "ptm: malloc(): block written to after its free: address "
                     "0x%zx, size %zu, arena 2",
                     (size_t)mem, class_size(size_class));
    MUST(alloc_malloc(SIZE) == mem);
    alloc_free(mem);
    end_traders(&helper);
}

/* It keeps what it has, which is anybody's. */
static void a_cache_that_moves_stays_mixed(void *unused)
{
    struct actor helper, holder;
    (void)unused;
    start_traders(&helper);
    make_slots();
    void *mem = allocate_remotely(&helper);
    unsigned size_class = block_class(mem);
    alloc_free(mem);
    actor_start(&holder);
    actor_do(&holder, hold, &main_arena);
    void *large = alloc_malloc(LARGE);
    MUST(owner_of(large) != 1);
    MUST(tcache_self()->owner == owner_of(large));
    MUST(tcache_self()->is_mixed && in_class(size_class) == 1);
    actor_do(&holder, release, &main_arena);
    actor_end(&holder);
    alloc_free(large);
    end_traders(&helper);
}

/* Before it is filled there: by a large request, it may be. */
static void a_cache_that_comes_to_a_common_arena_is_mixed(void *unused)
{
    struct actor helper;
    (void)unused;
    start_traders(&helper);
    tcache_flush();
    struct tcache *cache = tcache_self();
    cache->first_tag = tag_of(1, 1);
    cache->is_mixed = false;
    struct arena *other = arena_numbered(2);
    hold(other);
    tcache_follow(other);
    release(other);
    MUST(cache->owner == 2 && owner_taken() == TAG_COMMON && cache->is_mixed);
    end_traders(&helper);
}

/* One that shares the arena, and has not heard of it, learns it when it frees
 * one of its own. */
static void who_shares_a_common_arena_learns_it(void *unused)
{
    struct actor helper;
    (void)unused;
    start_traders(&helper);
    tcache_flush();
    void *mem = alloc_malloc(SIZE);
    MUST(owner_of(mem) == 1);
    tcache_self()->first_tag = tag_of(1, 1);
    tcache_self()->is_mixed = false;
    MUST(!tcache_free(mem) && !tcache_free_common(mem));
    MUST(!tcache_free_remote_slowly(mem));
    alloc_free(mem);
    MUST(is_cached(mem) && owner_taken() == TAG_COMMON);
    end_traders(&helper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_child(who_trades_becomes_common),
        unit_test_in_child(who_only_frees_does_not),
        unit_test_in_child(who_takes_over_does_not),
        unit_test_in_child(so_is_a_heap_that_comes_later),
        unit_test_in_child(a_block_of_the_other_stays_and_is_the_next),
        unit_test_in_child(where_there_is_no_slot_it_goes_home),
        unit_test_in_child(what_leaves_the_cache_is_sorted),
        unit_test_in_child(without_parcels_it_goes_home_as_well),
        unit_test_in_child(a_refill_hands_out_its_arenas_own),
        unit_test_in_child(who_only_allocates_keeps_blocks_of_others),
        unit_test_in_child(a_visitor_sorts_what_it_takes),
        unit_test_in_child(what_was_written_to_is_not_handed_out),
        unit_test_in_child(a_cache_that_moves_stays_mixed),
        unit_test_in_child(a_cache_that_comes_to_a_common_arena_is_mixed),
        unit_test_in_child(who_shares_a_common_arena_learns_it),
    };
    return UNIT_RUN(tests);
}
