/*
 * arena_trim.c - when the pages of top and of free chunks go back to the
 * kernel. After each step the whole arena is checked.
 */
#define _GNU_SOURCE
#include "own_arena.h"

#include "faulty_syscall.h"

/* ---- memory goes back --------------------------------------------------- */

static void a_small_dirty_top_is_kept(void **state)
{
    (void)state;
    struct chunk *chunk = take(DEFAULT_TRIM_THRESHOLD - 64);
    size_t system = own.system_bytes;
    give(chunk);
    assert_int_equal(own.system_bytes, system);
    assert_true(own_is_sound());
}

static void a_large_dirty_top_is_returned(void **state)
{
    (void)state;
    struct chunk *chunk = take(DEFAULT_TRIM_THRESHOLD + HEAP_HEADER_SIZE);
    fill(chunk, 1);
    give(chunk);
    assert_int_equal(
        own.system_bytes,
        round_up(HEAP_HEADER_SIZE + MIN_CHUNK_SIZE, os_page_size()));
    assert_true(own_is_sound());
    /* What comes next from there is zero, and said to be. */
    chunk = take(8192);
    assert_true((uintptr_t)own.zero_from < (uintptr_t)chunk_next(chunk));
    assert_true(is_zero_behind(chunk, own.zero_from));
}

static void the_threshold_and_the_pad_are_options(void **state)
{
    (void)state;
    option_set(OPTION_TRIM_THRESHOLD, 100000);
    option_set(OPTION_TOP_PAD, 40000);
    struct chunk *chunk = take(200000);
    size_t first = (size_t)((char *)chunk - (char *)own.heaps);
    fill(chunk, 1);
    give(chunk);
    option_set(OPTION_TOP_PAD, 0);
    option_set(OPTION_TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD);
    assert_int_equal(own.system_bytes,
                     round_up(first + MIN_CHUNK_SIZE + 40000, os_page_size()));
    assert_true(own_is_sound());
}

/* A quarter of what is in use may lie idle besides. */
static void who_holds_much_may_keep_more(void **state)
{
    const size_t live = 40 << 20;
    (void)state;
    take(live);
    size_t most = DEFAULT_TRIM_THRESHOLD + live / TRIM_LIVE_SHARE;
    struct chunk *chunk = take(most - 4096);
    size_t system = own.system_bytes;
    give(chunk);
    assert_int_equal(own.system_bytes, system);
    chunk = take(most + HEAP_HEADER_SIZE);
    system = own.system_bytes;
    give(chunk);
    assert_true(own.system_bytes < system - most + 8192);
    assert_true(own_is_sound());
}

static void a_refused_trim_changes_nothing(void **state)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    struct chunk *chunk = take(2 * DEFAULT_TRIM_THRESHOLD);
    size_t system = own.system_bytes;
    faulty_use(&no_memory);
    give(chunk);
    assert_int_equal(faulty_calls_refused(), 1);
    faulty_use(NULL);
    assert_int_equal(own.system_bytes, system);
    assert_true(own_is_sound());
    assert_true(own_is_empty());
}

static void trimming_on_request(void **state)
{
    const size_t page = os_page_size();
    (void)state;
    assert_false(trim(0));
    struct chunk *chunk = take_fenced(10 * page);
    fill(chunk, 1);
    give(chunk);
    assert_true(trim(20000));
    size_t top_at = (size_t)((char *)own.top - (char *)own.heaps);
    assert_int_equal(own.system_bytes,
                     round_up(top_at + MIN_CHUNK_SIZE + 20000, page));
    /* The pages inside of the free chunk are gone, and its ends are there. */
    unsigned char *bytes = (unsigned char *)chunk;
    size_t zero = 0;
    for (size_t i = sizeof *chunk; i < 10 * page; i++) {
        zero += bytes[i] == 0;
    }
    assert_true(zero >= 9 * page);
    assert_true(own_is_sound());
    assert_true(trim(0));
    assert_int_equal(own.system_bytes, round_up(top_at + MIN_CHUNK_SIZE, page));
    assert_true(own_is_sound());
}

static void a_pad_may_be_of_any_size(void **state)
{
    static const size_t pads[] = {SIZE_MAX, SIZE_MAX - 31, SIZE_MAX - 32,
                                  SIZE_MAX - 100000, (size_t)1 << 63};
    (void)state;
    struct chunk *chunk = take(200000);
    fill(chunk, 1);
    size_t system = own.system_bytes;
    for (size_t i = 0; i < count_of(pads); i++) {
        assert_false(trim(pads[i]));
        assert_int_equal(own.system_bytes, system);
        assert_true(own_is_sound());
        assert_true(is_filled(chunk, 200000 - 8, 1));
    }
}

#define arena_test(name)                                                       \
    cmocka_unit_test_setup_teardown(name, own_begin, own_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        arena_test(a_small_dirty_top_is_kept),
        arena_test(a_large_dirty_top_is_returned),
        arena_test(the_threshold_and_the_pad_are_options),
        arena_test(who_holds_much_may_keep_more),
        arena_test(a_refused_trim_changes_nothing),
        arena_test(trimming_on_request),
        arena_test(a_pad_may_be_of_any_size),
    };
    return UNIT_RUN(tests);
}
