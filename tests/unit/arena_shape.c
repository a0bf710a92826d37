/*
 * arena_shape.c - chunks that are aligned, and chunks that are resized where
 * they are. After each step the whole arena is checked.
 */
#define _GNU_SOURCE
#include "own_arena.h"

#include "faulty_syscall.h"

/* ---- alignment ---------------------------------------------------------- */

enum {
    ALIGNED = 60,
};

/* Everything before and behind the block is the arena's again. */
static void alignment_loses_nothing(void **state)
{
    (void)state;
    for (size_t alignment = 32; alignment <= 1 << 20; alignment *= 2) {
        struct chunk *chunks[ALIGNED];
        for (int i = 0; i < ALIGNED; i++) {
            size_t size = 32 + 16 * (size_t)(i % 11);
            chunks[i] = take_aligned(alignment, size);
            assert_int_equal((uintptr_t)chunk2mem(chunks[i]) % alignment, 0);
            assert_true(chunk_size(chunks[i]) >= size);
            assert_true(chunk_size(chunks[i]) < size + MIN_CHUNK_SIZE);
            fill(chunks[i], 0xff);
            if (i % 8 == 0) {
                take(48); /* moves the next one off its place */
                assert_true(own_is_sound());
            }
        }
        assert_true(own_is_sound());
        for (int i = 0; i < ALIGNED; i++) {
            give(chunks[(i * 7) % ALIGNED]);
        }
        assert_true(own_is_sound());
        own_end(NULL);
        own_begin(NULL);
    }
}

static void aligned_blocks_leave_an_empty_arena(void **state)
{
    (void)state;
    for (size_t alignment = 32; alignment <= 1 << 20; alignment *= 2) {
        struct chunk *first = take_aligned(alignment, 112);
        struct chunk *second = take_aligned(alignment, 4096);
        assert_true(own_is_sound());
        give(first);
        give(second);
        assert_true(own_is_empty());
        assert_true(own_is_sound());
    }
}

/* Out of a bin, from each place that a chunk may begin at. */
static void a_free_chunk_serves_an_alignment(void **state)
{
    (void)state;
    for (size_t before = 32; before < 32 + 512; before += 16) {
        struct chunk *front = take(before);
        struct chunk *chunk = take_fenced(2048);
        give(chunk);
        struct chunk *aligned = take_aligned(256, 512);
        assert_in_range((uintptr_t)aligned, (uintptr_t)chunk,
                        (uintptr_t)chunk + 2048 - 512);
        assert_int_equal((uintptr_t)chunk2mem(aligned) % 256, 0);
        assert_in_range(chunk_size(aligned), 512, 528);
        assert_int_equal(own.bins.bytes, 2048 - chunk_size(aligned));
        assert_true(own_is_sound());
        fill(aligned, 0xff);
        give(aligned);
        assert_ptr_equal(only_free_chunk(), chunk);
        assert_int_equal(own.bins.bytes, 2048);
        give(front);
        assert_true(own_is_sound());
        own_end(NULL);
        own_begin(NULL);
    }
}

/* ---- resizing ----------------------------------------------------------- */

static void a_block_grows_into_the_free_chunk_behind(void **state)
{
    static const struct {
        size_t asked, got;
    } cases[] = {
        {128, 128}, {256, 256}, {480, 480}, {496, 512}, {512, 512},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        struct chunk *chunk = take(112);
        struct chunk *behind = take_fenced(400);
        fill(chunk, 7);
        give(behind);
        assert_true(resize(chunk, cases[i].asked));
        assert_int_equal(chunk_size(chunk), cases[i].got);
        assert_int_equal(own.bins.bytes, 512 - cases[i].got);
        assert_true(is_filled(chunk, 104, 7));
        fill(chunk, 8);
        assert_true(own_is_sound());
        own_end(NULL);
        own_begin(NULL);
    }
}

static void a_block_grows_into_top(void **state)
{
    (void)state;
    struct chunk *chunk = take(112);
    fill(chunk, 7);
    size_t room = chunk_size(own.top);
    assert_true(resize(chunk, 128));
    assert_int_equal(chunk_size(chunk), 128);
    assert_int_equal(chunk_size(own.top), room - 16);
    assert_true(own_is_sound());
    assert_true(resize(chunk, 112 + room - MIN_CHUNK_SIZE));
    assert_int_equal(chunk_size(own.top), MIN_CHUNK_SIZE);
    assert_int_equal(own.system_bytes, HEAP_GROW_MIN);
    assert_true(own_is_sound());
    assert_true(resize(chunk, 10 << 20));
    assert_int_equal(chunk_size(chunk), 10 << 20);
    assert_true(own.system_bytes > 10 << 20);
    assert_true(is_filled(chunk, 104, 7));
    fill(chunk, 8);
    assert_true(own_is_sound());
    /* What lies behind top's header now is new, and known to be zero. */
    struct chunk *next = take(4096);
    assert_ptr_equal(own.zero_from, chunk2mem(next));
    assert_true(is_zero_behind(next, own.zero_from));
}

static void a_block_that_cannot_grow_is_as_it_was(void **state)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_MPROTECT, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    struct chunk *chunk = take(112);
    struct chunk *behind = take(64);
    struct chunk *last = take(112);
    fill(chunk, 7);
    fill(last, 7);
    assert_false(resize(chunk, 128)); /* in use behind */
    assert_int_equal(chunk_size(chunk), 112);
    give(behind);
    assert_false(resize(chunk, 192)); /* 176 is all there is */
    assert_int_equal(chunk_size(chunk), 112);
    assert_int_equal(own.bins.bytes, 64);
    assert_true(own_is_sound());
    faulty_use(&no_memory);
    assert_false(resize(last, 112 + chunk_size(own.top)));
    faulty_use(NULL);
    assert_int_equal(chunk_size(last), 112);
    assert_false(resize(last, HEAP_MAX_SIZE));
    assert_int_equal(chunk_size(last), 112);
    assert_true(is_filled(chunk, 104, 7));
    assert_true(is_filled(last, 104, 7));
    assert_true(own_is_sound());
}

static void a_block_shrinks_where_it_is(void **state)
{
    (void)state;
    struct chunk *chunk = take_fenced(1024);
    fill(chunk, 7);
    assert_true(resize(chunk, 1024));
    assert_true(resize(chunk, 1008)); /* 16 bytes are no chunk */
    assert_int_equal(chunk_size(chunk), 1024);
    assert_int_equal(own.bins.count, 0);
    assert_true(resize(chunk, 992));
    assert_int_equal(chunk_size(chunk), 992);
    assert_int_equal(own.bins.bytes, 32);
    assert_true(own_is_sound());
    assert_true(resize(chunk, 32)); /* the rests merge */
    assert_int_equal(chunk_size(chunk), 32);
    assert_int_equal(chunk_size(only_free_chunk()), 992);
    assert_true(is_filled(chunk, 24, 7));
    assert_true(own_is_sound());
}

static void the_last_block_shrinks_into_top(void **state)
{
    (void)state;
    struct chunk *chunk = take(4096);
    size_t room = chunk_size(own.top);
    assert_true(resize(chunk, 96));
    assert_int_equal(chunk_size(own.top), room + 4000);
    assert_ptr_equal(own.top, chunk_next(chunk));
    assert_int_equal(own.bins.count, 0);
    assert_true(own_is_sound());
}

#define arena_test(name)                                                       \
    cmocka_unit_test_setup_teardown(name, own_begin, own_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        arena_test(alignment_loses_nothing),
        arena_test(aligned_blocks_leave_an_empty_arena),
        arena_test(a_free_chunk_serves_an_alignment),
        arena_test(a_block_grows_into_the_free_chunk_behind),
        arena_test(a_block_grows_into_top),
        arena_test(a_block_that_cannot_grow_is_as_it_was),
        arena_test(a_block_shrinks_where_it_is),
        arena_test(the_last_block_shrinks_into_top),
    };
    return UNIT_RUN(tests);
}
