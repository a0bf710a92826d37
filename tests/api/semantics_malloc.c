/*
 * malloc: every size gets a block of its own that holds at least what was
 * asked for. One of no bytes has an address of its own and no byte.
 */
#include "api.h"

static void zero_bytes_get_an_address_each(void **state)
{
    (void)state;
    enum { BLOCKS = 100 };
    void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(0);
        assert_non_null(blocks[i]);
        assert_int_equal(malloc_usable_size(blocks[i]), 0);
        for (int k = 0; k < i; k++) {
            assert_ptr_not_equal(blocks[i], blocks[k]);
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}

/* Where there are more than the region has addresses for, ordinary blocks do:
 * glibc's callers expect no failure. */
static void a_hundred_thousand_are_no_failure(void **state)
{
    (void)state;
    enum { BLOCKS = 100000 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(0);
        assert_non_null(blocks[i]);
        assert_true(is_aligned(blocks[i], 16));
    }
    assert_true(malloc_usable_size(blocks[BLOCKS - 1]) >= 16);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = realloc(blocks[i], 8);
        assert_non_null(blocks[i]);
        memcpy(blocks[i], &i, sizeof i);
    }
    for (int i = 0; i < BLOCKS; i++) {
        assert_memory_equal(blocks[i], &i, sizeof i);
        free(blocks[i]);
    }
}

static void blocks_hold_what_was_asked_and_overlap_nothing(void **state)
{
    (void)state;
    enum { SIZES = 3000 };
    static unsigned char *blocks[SIZES];
    for (unsigned i = 0; i < SIZES; i++) {
        blocks[i] = malloc(i);
        assert_non_null(blocks[i]);
        size_t usable = malloc_usable_size(blocks[i]);
        assert_in_range(usable, i == 0 ? 0 : i < 16 ? 16 : i, most_usable(i));
        fill(blocks[i], usable, i);
    }
    for (unsigned i = 0; i < SIZES; i++) {
        assert_true(holds(blocks[i], malloc_usable_size(blocks[i]), i));
    }
    for (unsigned i = 0; i < SIZES; i += 2) {
        free(blocks[i]);
    }
    for (unsigned i = 1; i < SIZES; i += 2) {
        assert_true(holds(blocks[i], malloc_usable_size(blocks[i]), i));
        free(blocks[i]);
    }
}

/* Around the size of a direct mapping, of a heap, and beyond: what lies at
 * both ends must be there and belong to the block alone. */
static void large_blocks_are_usable_to_their_ends(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        65536,      131072 - 8,       200000,     262143,           262144,
        262145,     (1UL << 20) - 16, 1UL << 20,  (32UL << 20) - 8, 32UL << 20,
        63UL << 20, (64UL << 20) - 8, 64UL << 20, 200UL << 20,
    };
    unsigned char *blocks[count_of(sizes)];
    for (unsigned i = 0; i < count_of(sizes); i++) {
        blocks[i] = malloc(sizes[i]);
        assert_non_null(blocks[i]);
        size_t usable = malloc_usable_size(blocks[i]);
        assert_true(usable >= sizes[i]);
        fill(blocks[i], 64, i);
        fill(blocks[i] + usable - 64, 64, i + 1);
    }
    for (unsigned i = 0; i < count_of(sizes); i++) {
        size_t usable = malloc_usable_size(blocks[i]);
        assert_true(holds(blocks[i], 64, i));
        assert_true(holds(blocks[i] + usable - 64, 64, i + 1));
        free(blocks[i]);
    }
}

static void a_freed_block_is_used_again(void **state)
{
    (void)state;
    void *below = malloc(HEAP_BLOCK);
    char *block = malloc(HEAP_BLOCK);
    void *above = malloc(HEAP_BLOCK);
    free(block);
    char *again = malloc(HEAP_BLOCK);
    assert_ptr_equal(again, block);
    free(below);
    free(again);
    free(above);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(zero_bytes_get_an_address_each),
        api_test(a_hundred_thousand_are_no_failure),
        api_test(blocks_hold_what_was_asked_and_overlap_nothing),
        api_test(large_blocks_are_usable_to_their_ends),
        api_test(a_freed_block_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
