/*
 * profile.c - what is noted, and until when; pages that are watched; threads; a
 * kernel that says no; fork. What a program gets to see is
 * tests/api/profile.c's and tests/cli/profile.sh's affair.
 */
#include "profile.h"

#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "actor.h"
#include "alloc.h"
#include "arenas.h"
#include "block.h"
#include "child.h"
#include "faulty_syscall.h"
#include "inspect.h"
#include "lock.h"
#include "mapped.h"
#include "options.h"
#include "tcache.h"

static const struct call nobody = {.caller = (const void *)0x1234567};

static struct sums {
    size_t stacks;
    double allocated, live, live_count;
} sums;

static void add_stack(struct profile_stack *stack, void *data)
{
    struct sums *sum = data;
    sum->stacks++;
    sum->allocated += stack->allocated_bytes;
    sum->live += stack->live_bytes;
    sum->live_count += stack->live_count;
}

static const struct sums *sums_now(void)
{
    sums = (struct sums){0};
    profile_visit_stacks(add_stack, &sums);
    return &sums;
}

static void count_sample(const struct profile_sample *sample,
                         struct profile_stack *stack, void *data)
{
    (void)stack;
    MUST(sample->mem != 0 && sample->weight >= 1);
    ++*(size_t *)data;
}

static size_t samples_now(void)
{
    size_t count = 0;
    profile_visit_samples(count_sample, &count);
    return count;
}

static bool is_watched(const void *mem)
{
    return (heap_page_byte(heap_for_ptr(mem), mem) & RUN_WATCHED) != 0;
}

/* A run may be watched because some of it was given back, too. */
static bool is_watched_for_samples(const void *mem)
{
    return block_run_class(mem) != 0 ? heap_run_of(mem)->is_sampled
                                     : is_watched(mem);
}

/* As libc.c does it. */
static void *take(size_t size)
{
    void *mem = alloc_malloc(size);
    MUST(mem != NULL);
    profile_note_allocation(mem, size, nobody);
    return mem;
}

static void give(void *mem)
{
    profile_note_free(mem);
    alloc_free(mem);
}

static void must_be_sound(void)
{
    struct damage damage;
    if (!inspect_everything(&damage)) {
        fail_msg("%s at %p", damage.what, damage.address);
    }
}

/* A chunk, objects of runs, large chunks, mappings. */
static void a_block_is_known_until_it_is_freed(void **state)
{
    static const size_t sizes[] = {24, 100, 1000, 2000, 60000, 1 << 20};
    enum { BLOCKS = 500 };
    static void *blocks[BLOCKS];
    (void)state;
    assert_true(profile_start(1000));
    for (size_t k = 0; k < count_of(sizes); k++) {
        size_t count = sizes[k] > 50000 ? 10 : BLOCKS;
        for (size_t i = 0; i < count; i++) {
            blocks[i] = take(sizes[k]);
            assert_true(sizes[k] > 300000 || is_watched(blocks[i]));
        }
        assert_int_equal(samples_now(), count);
        assert_true(sums_now()->live >= (double)(count * sizes[k]));
        must_be_sound();
        for (size_t i = 0; i < count; i++) {
            give(blocks[i]);
            assert_int_equal(samples_now(), count - i - 1);
        }
        for (size_t i = 0; i < count && sizes[k] < 300000; i++) {
            assert_true(owner_of(blocks[i]) == 0 ||
                        !is_watched_for_samples(blocks[i]));
        }
        assert_in_range((size_t)(sums_now()->live + 1.5), 1, 2);
    }
    assert_int_equal(sums_now()->stacks, 1);
    must_be_sound();
    profile_stop();
}

/* While it is on, malloc's fast path is closed, and the slow one counts. */
/* Who is outside writes zeros up to TCACHE_GATE. */
static void close_gate_from_both_sides(void *is_hardened)
{
    option_set(OPTION_HARDENED, is_hardened != NULL);
    tcache_set_limits();
    struct tcache_limits outside = tcache_limits;
    memset(&outside, 0, TCACHE_GATE);
    MUST(memcmp(&outside, &tcache_limits, sizeof outside) != 0);
    tcache_close_gate(true);
    MUST(memcmp(&outside, &tcache_limits, sizeof outside) == 0);
}

static void the_gate_is_the_same_from_outside(void **state)
{
    child_must_succeed(close_gate_from_both_sides, NULL);
    child_must_succeed(close_gate_from_both_sides, state);
}

static void the_gate_is_closed_while_it_is_on(void **state)
{
    (void)state;
    alloc_free(alloc_malloc(48));
    void *mem = tcache_malloc(48);
    assert_non_null(mem);
    alloc_free(mem);
    assert_true(profile_start(1000));
    assert_null(tcache_malloc(48));
    mem = tcache_malloc_behind_gate(48);
    assert_non_null(mem);
    assert_true(tcache_free(mem));
    profile_stop();
    mem = tcache_malloc(48);
    assert_non_null(mem);
    alloc_free(mem);
}

static void what_is_outside_is_heeded(void **state)
{
    (void)state;
    assert_false(profile_is_on());
    profile_switch.wanted = 777;
    assert_true(profile_is_on());
    sampler_left = 0;
    profile_picks(1);
    assert_int_equal(profile_switch.mean, 777);
    assert_null(tcache_malloc(48));
    profile_switch.wanted = 0;
    while (profile_switch.mean != 0) {
        profile_picks(10000);
    }
    assert_false(profile_is_on());
    assert_false(profile_picks(1 << 20));
}

static void after_the_stop_frees_are_still_noted(void **state)
{
    (void)state;
    assert_true(profile_start(1000));
    void *mem = take(100);
    profile_stop();
    assert_int_equal(samples_now(), 1);
    give(mem);
    assert_int_equal(samples_now(), 0);
    assert_false(is_watched_for_samples(mem));
}

static void blocks_of_private_arenas_are_not_noted(void **state)
{
    struct arena *arena = arenas_make_private(0);
    (void)state;
    assert_non_null(arena);
    assert_true(profile_start(1000));
    void *mem = alloc_in_arena(arena, MALLOC_ALIGNMENT, 100);
    profile_note_allocation(mem, 100, nobody);
    assert_int_equal(samples_now(), 0);
    profile_stop();
    alloc_free(mem);
    arenas_retire_private(arena);
}

/* Each stack has its sums. */
static void stacks_are_told_apart(void **state)
{
    enum { STACKS = 3000 };
    static void *blocks[STACKS];
    (void)state;
    size_t before = sums_now()->stacks;
    assert_true(profile_start(1 << 20));
    for (uintptr_t round = 0; round < 2; round++) {
        for (uintptr_t i = 0; i < STACKS; i++) {
            struct call call = {.caller = (const void *)(0x10000 + i)};
            blocks[i] = alloc_malloc(64);
            profile_note_allocation(blocks[i], 64, call);
        }
        assert_int_equal(sums_now()->stacks, before + STACKS);
        for (size_t i = 0; i < STACKS; i++) {
            give(blocks[i]);
        }
    }
    assert_int_equal(samples_now(), 0);
    profile_stop();
}

/* ---- threads --------------------------------------------------------------
 */

enum { THREADS = 4, SLOTS = 64 };

static void *slots[SLOTS];

/* Blocks go from thread to thread, some noted and most not. */
static void *trade(void *argument)
{
    enum { ROUNDS = UNIT_UNDER_TSAN ? 4000 : 40000 };
    unsigned random = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525 + 1013904223;
        size_t size = (random >> 8) % 3000 + 1;
        void *mem = alloc_malloc(size);
        MUST(mem != NULL);
        if (profile_picks(size)) {
            profile_note_allocation(mem, size, nobody);
        }
        mem = __atomic_exchange_n(&slots[(random >> 20) % SLOTS], mem,
                                  __ATOMIC_ACQ_REL);
        if (mem != NULL) {
            give(mem);
        }
    }
    tcache_destroy();
    arenas_detach_thread();
    return NULL;
}

static void threads_lose_no_sample(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    assert_true(profile_start(5000));
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, trade, (void *)(i + 1)), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(sums_now()->allocated > 1e7);
    for (int i = 0; i < SLOTS; i++) {
        if (slots[i] != NULL) {
            give(slots[i]);
            slots[i] = NULL;
        }
    }
    assert_int_equal(samples_now(), 0);
    assert_int_equal(profile_live, 0);
    profile_stop();
    must_be_sound();
}

/* ---- a kernel that says no, and fork --------------------------------------
 */

static void start_without_memory(void *unused)
{
    (void)unused;
    struct faulty_plan plan = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    faulty_use(&plan);
    MUST(!profile_start(1000));
    MUST(!profile_is_on());
    profile_switch.wanted = 1000;
    MUST(!profile_picks(1 << 20));
    MUST(!profile_is_on());
    faulty_use(NULL);
    MUST(profile_start(1000));
    MUST(samples_now() == 0);
    give(take(100));
}

static void note_without_memory(void *unused)
{
    (void)unused;
    void *mem = alloc_malloc(100);
    struct faulty_plan plan = {
        .kinds = FAULTY_MPROTECT, .first = 1, .how_many = FAULTY_FOR_EVER};
    MUST(profile_start(1000));
    faulty_use(&plan);
    profile_note_allocation(mem, 100, nobody);
    faulty_use(NULL);
    MUST(samples_now() == 0 && !is_watched_for_samples(mem));
    profile_note_allocation(mem, 100, nobody);
    MUST(samples_now() == 1);
    give(mem);
    MUST(samples_now() == 0);
}

static void without_memory_there_is_no_profile(void **state)
{
    (void)state;
    child_must_succeed(start_without_memory, NULL);
    child_must_succeed(note_without_memory, NULL);
}

static void go_on_in_child(void *mem)
{
    profile_after_fork();
    MUST(samples_now() == 1);
    give(mem);
    MUST(samples_now() == 0);
    give(take(100));
}

static void a_child_goes_on(void **state)
{
    (void)state;
    assert_true(profile_start(1000));
    void *mem = take(100);
    child_must_succeed(go_on_in_child, mem);
    assert_int_equal(samples_now(), 1);
    give(mem);
    profile_stop();
}

/* The first sample gets memory for the table: the thread is held in the kernel,
 * with the locks of the profile and of an arena. */
static void note_and_be_held(void *mem)
{
    faulty_hold_next_call(60000);
    profile_note_allocation(mem, 100, nobody);
}

static void forget_in_child(void *mem)
{
    lock_note_fork();
    MUST(profile_start(1000) && profile_is_on());
    MUST(samples_now() == 0 && sums_now()->stacks == 0);
    profile_note_free(mem);
    void *page = alloc_malloc(1 << 20);
    profile_note_allocation(page, 1 << 20, nobody);
    MUST(samples_now() == 1);
    give(page);
    MUST(samples_now() == 0);
}

static void a_child_forgets_what_was_half_done(void *unused)
{
    struct actor actor;
    (void)unused;
    void *mem = alloc_malloc(100);
    MUST(profile_start(1000));
    actor_start(&actor);
    actor_begin(&actor, note_and_be_held, mem);
    while (faulty_threads_held() == 0) {
        sched_yield();
    }
    child_must_succeed(forget_in_child, mem);
    faulty_release();
    actor_finish(&actor);
    MUST(samples_now() == 1);
    give(mem);
    actor_end(&actor);
}

static void dump_in_child(void *unused)
{
    (void)unused;
    lock_note_fork();
    profile_after_fork();
    MUST(profile_begin_dump() && !profile_begin_dump());
}

static void a_child_does_not_wait_for_its_parents_dump(void **state)
{
    (void)state;
    lock_watch_forks();
    assert_true(profile_begin_dump());
    assert_false(profile_begin_dump());
    child_must_succeed(dump_in_child, NULL);
    assert_false(profile_begin_dump());
    profile_end_dump();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_there_is_no_profile),
        unit_test_in_child(a_child_forgets_what_was_half_done),
        cmocka_unit_test(a_block_is_known_until_it_is_freed),
        cmocka_unit_test(the_gate_is_the_same_from_outside),
        cmocka_unit_test(the_gate_is_closed_while_it_is_on),
        cmocka_unit_test(what_is_outside_is_heeded),
        cmocka_unit_test(after_the_stop_frees_are_still_noted),
        cmocka_unit_test(blocks_of_private_arenas_are_not_noted),
        cmocka_unit_test(stacks_are_told_apart),
        cmocka_unit_test(threads_lose_no_sample),
        cmocka_unit_test(a_child_goes_on),
        cmocka_unit_test(a_child_does_not_wait_for_its_parents_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
