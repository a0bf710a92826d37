/*
 * mallinfo and mallinfo2: the numbers say what the heap has done.
 */
#include "api.h"

static void the_arena_is_what_is_used_and_what_is_free(void **state)
{
    (void)state;
    void *blocks[10];
    for (size_t i = 0; i < 10; i++) {
        blocks[i] = malloc(i * 5000);
        struct mallinfo2 info = mallinfo2();
        assert_int_equal(info.arena, info.uordblks + info.fordblks);
        assert_true(info.keepcost <= info.fordblks);
    }
    for (size_t i = 0; i < 10; i += 2) {
        free(blocks[i]);
        struct mallinfo2 info = mallinfo2();
        assert_int_equal(info.arena, info.uordblks + info.fordblks);
    }
    for (size_t i = 1; i < 10; i += 2) {
        free(blocks[i]);
    }
}

static void a_heap_block_moves_bytes_from_free_to_used(void **state)
{
    (void)state;
    struct mallinfo2 before = settled_info();
    char *block = malloc(HEAP_BLOCK);
    struct mallinfo2 with_block = settled_info();
    assert_int_equal(with_block.uordblks - before.uordblks,
                     malloc_usable_size(block) + 8);
    assert_int_equal(with_block.hblks, before.hblks);
    assert_int_equal(with_block.hblkhd, before.hblkhd);
    free(block);
    struct mallinfo2 after = settled_info();
    assert_int_equal(after.uordblks, before.uordblks);
    assert_int_equal(after.fordblks, after.arena - after.uordblks);
}

static void a_mapping_is_counted_apart_from_the_arena(void **state)
{
    (void)state;
    struct mallinfo2 before = mallinfo2();
    void *block = malloc(MAPPED_BLOCK);
    struct mallinfo2 with_block = mallinfo2();
    assert_int_equal(with_block.hblks, before.hblks + 1);
    assert_in_range(with_block.hblkhd - before.hblkhd, MAPPED_BLOCK,
                    MAPPED_BLOCK + 2 * page_size());
    assert_int_equal(with_block.arena, before.arena);
    assert_int_equal(with_block.uordblks, before.uordblks);
    block = realloc(block, 2 * MAPPED_BLOCK);
    struct mallinfo2 resized = mallinfo2();
    assert_int_equal(resized.hblks, before.hblks + 1);
    assert_in_range(resized.hblkhd - before.hblkhd, 2 * MAPPED_BLOCK,
                    2 * MAPPED_BLOCK + 2 * page_size());
    free(block);
    struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.hblks, before.hblks);
    assert_int_equal(after.hblkhd, before.hblkhd);
}

static void a_free_chunk_between_used_ones_is_one_more(void **state)
{
    (void)state;
    enum { BLOCKS = 9 };
    void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(HEAP_BLOCK);
    }
    size_t chunks = settled_info().ordblks;
    size_t bytes = mallinfo2().fordblks;
    for (size_t i = 1; i < BLOCKS; i += 2) {
        chunks += 1;
        bytes += malloc_usable_size(blocks[i]) + 8;
        free(blocks[i]);
        assert_int_equal(settled_info().ordblks, chunks);
        assert_int_equal(mallinfo2().fordblks, bytes);
    }
    /* The fourth one joins its two neighbours into one chunk. */
    free(blocks[4]);
    assert_int_equal(settled_info().ordblks, chunks - 1);
    for (int i = 0; i < BLOCKS; i++) {
        if (i % 2 == 0 && i != 4) {
            free(blocks[i]);
        }
    }
}

static void the_top_is_the_keepcost(void **state)
{
    (void)state;
    enum { BLOCKS = 20 };
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, -1), 1);
    char *blocks[BLOCKS];
    int last = 0;
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(HEAP_BLOCK);
        last = blocks[i] > blocks[last] ? i : last;
    }
    /* What is free elsewhere is none of it. */
    size_t top = settled_info().keepcost;
    int other = last > 10 ? 2 : 17;
    free(blocks[other]);
    assert_int_equal(settled_info().keepcost, top);
    blocks[other] = NULL;
    assert_true(top <= mallinfo2().fordblks);
    size_t size = malloc_usable_size(blocks[last]) + 8;
    free(blocks[last]);
    assert_int_equal(settled_info().keepcost - top, size);
    for (int i = 0; i < BLOCKS; i++) {
        if (i != last) {
            free(blocks[i]);
        }
    }
}

static void a_cached_block_counts_as_used(void **state)
{
    (void)state;
    void *block = malloc(HEAP_BLOCK);
    struct mallinfo2 before = settled_info();
    size_t size = malloc_usable_size(block) + 8;
    free(block);
    size_t gone = caches_are_on() ? 0 : size;
    assert_int_equal(before.uordblks - mallinfo2().uordblks, gone);
    assert_int_equal(mallinfo2().fordblks - before.fordblks, gone);
    settle();
    assert_int_equal(before.uordblks - mallinfo2().uordblks, size);
}

static void what_does_not_exist_is_zero(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        free(malloc(40));
    }
    struct mallinfo2 info = mallinfo2();
    assert_int_equal(info.smblks, 0);
    assert_int_equal(info.fsmblks, 0);
    assert_int_equal(info.usmblks, 0);
}

static void check_truncated(void)
{
    struct mallinfo2 whole = mallinfo2();
    struct mallinfo narrow = mallinfo();
    assert_int_equal(narrow.arena, (int)whole.arena);
    assert_int_equal(narrow.ordblks, (int)whole.ordblks);
    assert_int_equal(narrow.smblks, (int)whole.smblks);
    assert_int_equal(narrow.hblks, (int)whole.hblks);
    assert_int_equal(narrow.hblkhd, (int)whole.hblkhd);
    assert_int_equal(narrow.usmblks, (int)whole.usmblks);
    assert_int_equal(narrow.fsmblks, (int)whole.fsmblks);
    assert_int_equal(narrow.uordblks, (int)whole.uordblks);
    assert_int_equal(narrow.fordblks, (int)whole.fordblks);
    assert_int_equal(narrow.keepcost, (int)whole.keepcost);
}

/* Objects that their runs have. */
static void free_objects_are_counted_apart(void **state)
{
    (void)state;
    enum { BLOCKS = 400, SIZE = 112 };
    static void *blocks[BLOCKS];
    if (!runs_are_on()) {
        skip();
    }
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
    }
    struct mallinfo2 before = settled_info();
    size_t freed = 0, first = BLOCKS / 2;
    for (size_t i = first; i < BLOCKS; i += 2) {
        assert_int_equal(malloc_usable_size(blocks[i]), SIZE);
        free(blocks[i]);
        freed++;
    }
    struct mallinfo2 after = settled_info();
    assert_int_equal(after.smblks - before.smblks, freed);
    assert_int_equal(after.fsmblks - before.fsmblks, freed * SIZE);
    assert_int_equal(before.uordblks - after.uordblks, freed * SIZE);
    assert_int_equal(after.arena, after.uordblks + after.fordblks);
    check_truncated();
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i < first || i % 2 != first % 2) {
            free(blocks[i]);
        }
    }
}

static void the_older_call_truncates_to_int(void **state)
{
    (void)state;
    void *small = malloc(HEAP_BLOCK);
    check_truncated();
    /* More than an int holds; never touched. */
    void *large[3] = {malloc(1UL << 30), malloc(1UL << 30), malloc(1UL << 30)};
    if (large[0] == NULL || large[1] == NULL || large[2] == NULL) {
        skip();
    }
    assert_true(mallinfo2().hblkhd > 3UL << 30);
    check_truncated();
    for (int i = 0; i < 3; i++) {
        free(large[i]);
    }
    free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(the_arena_is_what_is_used_and_what_is_free),
        api_test(a_heap_block_moves_bytes_from_free_to_used),
        api_test(a_mapping_is_counted_apart_from_the_arena),
        api_test(a_free_chunk_between_used_ones_is_one_more),
        api_test(the_top_is_the_keepcost),
        api_test(a_cached_block_counts_as_used),
        api_test(what_does_not_exist_is_zero),
        api_test(free_objects_are_counted_apart),
        api_test(the_older_call_truncates_to_int),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
