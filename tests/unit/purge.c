/*
 * purge.c - all arenas give back what they can, and keep what is in use. But
 * for the test that says so, threads cache nothing.
 */
#define _GNU_SOURCE
#include "../../src/purge.c"

#include "unit.h"

#include <sys/mman.h>

#include "actor.h"
#include "alloc.h"
#include "arenas.h"
#include "child.h"
#include "faulty_syscall.h"
#include "inspect.h"
#include "options.h"
#include "os.h"
#include "tcache.h"

enum {
    BLOCK = 100000,
    BLOCKS = 16,
};

/* What a thread allocates in an arena of its own. */
struct owner {
    struct actor actor;
    struct arena *arena;
    char *kept;
};

static void allocate_and_free(void *argument)
{
    struct owner *owner = argument;
    char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = alloc_malloc(BLOCK);
        MUST(blocks[i] != NULL);
        memset(blocks[i], 1, BLOCK);
    }
    /* Every other one: some free memory lies between blocks, some in top. */
    owner->kept = blocks[BLOCKS / 2];
    for (int i = 0; i < BLOCKS; i++) {
        if (i != BLOCKS / 2) {
            alloc_free(blocks[i]);
        }
    }
    owner->arena = arena_for_chunk(mem2chunk(owner->kept));
}

static void hold_main(void *unused)
{
    (void)unused;
    MUST(arena_acquire(&main_arena));
}

static void release_main(void *unused)
{
    (void)unused;
    arena_release(&main_arena);
}

static size_t committed(const struct owner *owner)
{
    struct arena_stats stats;
    MUST(arena_stats(owner->arena, &stats));
    return stats.system_bytes;
}

/* Whole pages of [start, end) that are in memory. */
static size_t resident(const void *start, const void *end)
{
    size_t page = os_page_size(), count = 0;
    uintptr_t at = round_up((uintptr_t)start, page);
    for (; at + page <= (uintptr_t)end; at += page) {
        unsigned char in_core;
        MUST(mincore((void *)at, page, &in_core) == 0);
        count += in_core & 1;
    }
    return count;
}

/* What an arena has that holds nothing. */
static size_t least_heap(void)
{
    return round_up(HEAP_HEADER_SIZE + MIN_CHUNK_SIZE, os_page_size());
}

static bool all_is_sound(void)
{
    struct damage damage;
    return inspect_everything(&damage);
}

static void set_the_scene(struct owner *here, struct owner *there)
{
    struct actor holder;
    allocate_and_free(here);
    actor_start(&holder);
    actor_do(&holder, hold_main, NULL);
    actor_start(&there->actor);
    actor_do(&there->actor, allocate_and_free, there);
    actor_do(&holder, release_main, NULL);
    actor_end(&holder);
    MUST(here->arena == &main_arena && there->arena != &main_arena);
}

static void all_arenas_are_purged(void *unused)
{
    struct owner here, there;
    (void)unused;
    set_the_scene(&here, &there);
    size_t page = os_page_size();
    struct owner *owners[] = {&here, &there};
    for (int i = 0; i < 2; i++) {
        const void *first = heap_first_chunk(owners[i]->arena->heaps);
        MUST(resident(first, owners[i]->kept) >= BLOCK / page * 7);
        MUST(committed(owners[i]) > (size_t)BLOCK * (BLOCKS - 1));
    }
    MUST(purge_everything(50000));
    for (int i = 0; i < 2; i++) {
        const struct heap *heap = owners[i]->arena->heaps;
        size_t top_at = (uintptr_t)owners[i]->arena->top - (uintptr_t)heap;
        MUST(resident(heap_first_chunk(heap), owners[i]->kept) <= 1);
        MUST(committed(owners[i]) ==
             round_up(top_at + MIN_CHUNK_SIZE + 50000, page));
        for (int at = 0; at < BLOCK; at++) {
            MUST(owners[i]->kept[at] == 1);
        }
    }
    MUST(all_is_sound());
    MUST(purge_everything(0));
    /* What is left is used as before. */
    char *block = alloc_calloc(BLOCK);
    for (int at = 0; at < BLOCK; at++) {
        MUST(block[at] == 0);
    }
    alloc_free(block);
    alloc_free(here.kept);
    alloc_free(there.kept);
    MUST(all_is_sound());
}

static void without_free_memory_nothing_is_purged(void *unused)
{
    (void)unused;
    MUST(!purge_everything(0));
    char *block = alloc_malloc(100);
    MUST(!purge_everything(SIZE_MAX));
    MUST(!purge_everything((size_t)1 << 40));
    MUST(purge_everything(0));
    MUST(all_is_sound());
    alloc_free(block);
}

enum {
    SENT = 150,
    SENT_SIZE = 6000, /* not so much in all that the sender sorts them */
};

static char *sent[SENT];

static void free_sent_blocks(void *unused)
{
    (void)unused;
    for (int i = 0; i < SENT; i++) {
        alloc_free(sent[i]);
    }
    tcache_flush();
}

/* Another arena's thread has sent them home, and nobody has looked. */
static void blocks_on_their_way_are_purged_too(void *unused)
{
    struct owner here, there;
    struct arena_stats stats;
    (void)unused;
    option_set(OPTION_TCACHE_MAX, DEFAULT_TCACHE_MAX);
    tcache_set_limits();
    set_the_scene(&here, &there);
    alloc_free(here.kept);
    for (int i = 0; i < SENT; i++) {
        sent[i] = alloc_malloc(SENT_SIZE);
    }
    actor_do(&there.actor, free_sent_blocks, NULL);
    MUST(inbox_has_any(&main_arena.inbox));
    MUST(purge_everything(0));
    MUST(!inbox_has_any(&main_arena.inbox) && main_arena.arrivals == NULL);
    MUST(arena_stats(&main_arena, &stats));
    MUST(stats.free_chunks == 1 && stats.run_bytes == 0);
    MUST(stats.system_bytes == least_heap());
    MUST(all_is_sound());
}

static void freed_mappings_are_purged_too(void *unused)
{
    unsigned char in_core;
    (void)unused;
    char *mem = alloc_malloc(1 << 20);
    memset(mem, 1, 1 << 20);
    alloc_free(mem);
    MUST(purge_everything(0));
    MUST(mincore((void *)round_down((uintptr_t)mem, os_page_size()),
                 os_page_size(), &in_core) != 0);
    MUST(!purge_everything(0));
}

static void what_the_kernel_does_not_take_is_not_counted(void *unused)
{
    struct owner here;
    const struct faulty_plan plan = {
        .kinds = FAULTY_ALL, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)unused;
    allocate_and_free(&here);
    size_t before = committed(&here);
    faulty_use(&plan);
    MUST(!purge_everything(0));
    MUST(faulty_calls_refused() >= 2);
    faulty_use(NULL);
    MUST(committed(&here) == before);
    MUST(all_is_sound());
}

/* What waits in this thread's cache, and in depots for other threads', is
 * merged first. */
static void caches_are_purged_too(void *unused)
{
    enum { CACHED = 3000 };
    static char *cached[CACHED];
    struct arena_stats stats;
    (void)unused;
    option_set(OPTION_TCACHE_MAX, DEFAULT_TCACHE_MAX);
    tcache_set_limits();
    for (int i = 0; i < CACHED; i++) {
        cached[i] = alloc_malloc(300);
    }
    for (int i = 0; i < CACHED; i++) {
        alloc_free(cached[i]);
    }
    MUST(arena_stats(&main_arena, &stats));
    MUST(stats.system_bytes > CACHED * 300);
    MUST(main_arena.depot.blocks > 0);
    MUST(purge_everything(0));
    MUST(arena_stats(&main_arena, &stats));
    MUST(stats.free_chunks == 1 && stats.run_bytes == 0);
    MUST(stats.system_bytes == least_heap());
    MUST(main_arena.depot.blocks == 0);
    MUST(all_is_sound());
}

/* ---- memory is out ------------------------------------------------------- */

/* New mappings are refused from here on, as by RLIMIT_AS. */
static const struct faulty_plan no_more = {.kinds = FAULTY_MMAP,
                                           .high = 1, /* anywhere */
                                           .first = 1,
                                           .how_many = FAULTY_FOR_EVER};

static void before_memory_is_out_all_goes_back(void *unused)
{
    struct owner here;
    (void)unused;
    allocate_and_free(&here);
    alloc_free(here.kept);
    size_t before = committed(&here);
    MUST(before > (size_t)BLOCK * BLOCKS);
    faulty_use(&no_more);
    /* More than there is would not be had by giving it back. */
    MUST(alloc_malloc((size_t)1 << 40) == NULL);
    MUST(committed(&here) == before);
    /* This might; but the kernel says no again. */
    MUST(alloc_malloc(BLOCK * 5) != NULL); /* from the heap, after all */
    MUST(committed(&here) < before);
    faulty_use(NULL);
    MUST(all_is_sound());
}

static void it_does_so_once_for_what_was_freed(void *unused)
{
    struct owner here;
    (void)unused;
    allocate_and_free(&here);
    MUST(purge_for_memory(0));
    /* Nothing was freed since. */
    faulty_use(&no_more);
    MUST(!purge_for_memory(0));
    MUST(faulty_calls_counted() == 0);
    faulty_use(NULL);
    alloc_free(here.kept);
    MUST(purge_for_memory(0));
}

/* ---- fork ---------------------------------------------------------------- */

static void hold_steps(void *unused)
{
    (void)unused;
    purge_before_fork();
}

static void let_steps_go(void *unused)
{
    (void)unused;
    purge_after_fork_in_parent();
}

static void go_on_without_it(void *unused)
{
    struct owner here;
    (void)unused;
    allocate_and_free(&here);
    MUST(purge_step());
    /* A step that is interrupted by a fork is not ended by it. */
    MUST(lock_acquire(&purge.lock));
    purge_after_fork_in_parent();
    MUST(lock_is_mine(&purge.lock));
    lock_release(&purge.lock);
}

/* One thread forks while another is about to: in the child, nobody who is there
 * holds the lock. (Handlers of fork are at work here, too.) */
static void the_fork_of_a_lost_thread_is_forgotten(void **state)
{
    struct actor other;
    (void)state;
    purge_leave_to_helper(true);
    actor_start(&other);
    actor_do(&other, hold_steps, NULL);
    assert_false(purge_step());
    child_must_succeed(go_on_without_it, NULL);
    actor_do(&other, let_steps_go, NULL);
    actor_end(&other);
    assert_true(lock_try(&purge.lock));
    lock_release(&purge.lock);
}

/* ---- what is live -------------------------------------------------------- */

static size_t live_after_a_pass(void)
{
    while (purge_step()) {
    }
    return purge.live;
}

/* What an arena of the program's had is not live when it has been emptied. */
static void what_is_live_is_counted_once(void **state)
{
    (void)state;
    void *kept = alloc_malloc(BLOCK);
    alloc_free(alloc_malloc(BLOCK)); /* else nobody looks */
    size_t before = live_after_a_pass();
    assert_true(before >= BLOCK);
    for (int i = 0; i < 10; i++) {
        struct arena *arena = arenas_make_private(0);
        assert_non_null(alloc_in_arena(arena, MALLOC_ALIGNMENT, 10 * BLOCK));
        alloc_free(alloc_in_arena(arena, MALLOC_ALIGNMENT, BLOCK));
        assert_true(live_after_a_pass() >= before + 10 * BLOCK);
        MUST(arena_acquire(arena));
        arena_empty(arena);
        arena_release(arena);
        arenas_retire_private(arena);
    }
    assert_true(live_after_a_pass() < before + 20 * BLOCK);
    alloc_free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_child(all_arenas_are_purged),
        unit_test_in_child(caches_are_purged_too),
        unit_test_in_child(blocks_on_their_way_are_purged_too),
        unit_test_in_child(freed_mappings_are_purged_too),
        unit_test_in_child(without_free_memory_nothing_is_purged),
        unit_test_in_child(what_the_kernel_does_not_take_is_not_counted),
        unit_test_in_child(before_memory_is_out_all_goes_back),
        unit_test_in_child(it_does_so_once_for_what_was_freed),
        cmocka_unit_test(the_fork_of_a_lost_thread_is_forgotten),
        cmocka_unit_test(what_is_live_is_counted_once),
    };
    option_set(OPTION_TCACHE_MAX, 0);
    tcache_set_limits();
    return UNIT_RUN(tests);
}
