/*
 * calloc: zeroed, whatever lay there before; a product that overflows is out
 * of memory, never a small block.
 */
#include "api.h"

/* Leaves dirty free memory of all sizes behind. */
static void dirty_the_heap(void)
{
    enum { BLOCKS = 400 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = (size_t)(i * i) + 1;
        blocks[i] = malloc(size);
        assert_non_null(blocks[i]);
        memset(blocks[i], 0xee, malloc_usable_size(blocks[i]));
    }
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}

static void dirty_memory_comes_back_zeroed(void **state)
{
    (void)state;
    dirty_the_heap();
    for (size_t size = 0; size < 5000; size += size < 200 ? 1 : 37) {
        unsigned char *block = calloc(1, size);
        assert_non_null(block);
        assert_true(malloc_usable_size(block) >= size);
        assert_true(all_bytes_are(block, size, 0));
        memset(block, 0xdd, malloc_usable_size(block));
        free(block);
    }
}

static void a_large_dirty_block_comes_back_zeroed(void **state)
{
    (void)state;
    static const size_t sizes[] = {HEAP_BLOCK, 250000, 262144, MAPPED_BLOCK};
    for (unsigned i = 0; i < count_of(sizes); i++) {
        for (int round = 0; round < 3; round++) {
            unsigned char *block = calloc(sizes[i] / 8 + 1, 8);
            assert_non_null(block);
            assert_true(all_bytes_are(block, sizes[i], 0));
            memset(block, 0xcc, malloc_usable_size(block));
            free(block);
        }
    }
}

/* The part of a block that lies in the never-touched top needs no clearing;
 * the part that was used before the top swallowed it does. */
static void a_block_across_old_and_fresh_memory_is_zeroed(void **state)
{
    (void)state;
    enum { BLOCKS = 20 };
    void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(HEAP_BLOCK);
        assert_non_null(blocks[i]);
        memset(blocks[i], 0xbb, HEAP_BLOCK);
    }
    for (int i = BLOCKS; i > 0; i--) {
        free(blocks[i - 1]);
    }
    unsigned char *zeroed[2 * BLOCKS];
    for (int i = 0; i < 2 * BLOCKS; i++) {
        zeroed[i] = calloc(HEAP_BLOCK + 1000, 1);
        assert_non_null(zeroed[i]);
        assert_true(all_bytes_are(zeroed[i], HEAP_BLOCK + 1000, 0));
    }
    for (int i = 0; i < 2 * BLOCKS; i++) {
        free(zeroed[i]);
    }
}

static void an_overflowing_product_is_out_of_memory(void **state)
{
    (void)state;
    static const size_t factors[][2] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2},
        {1UL << 32, 1UL << 32},
        {(1UL << 32) + 1, (1UL << 32) - 1},
        {SIZE_MAX / 16 + 1, 16},
        {SIZE_MAX, SIZE_MAX},
    };
    for (unsigned i = 0; i < count_of(factors); i++) {
        errno = 0;
        assert_null(opaque(calloc(factors[i][0], factors[i][1])));
        assert_int_equal(errno, ENOMEM);
    }
}

static void a_zero_factor_gives_a_block(void **state)
{
    (void)state;
    static const size_t factors[][2] = {
        {0, 0}, {0, 100}, {100, 0}, {0, SIZE_MAX}, {SIZE_MAX, 0}};
    for (unsigned i = 0; i < count_of(factors); i++) {
        void *block = calloc(factors[i][0], factors[i][1]);
        assert_non_null(block);
        assert_int_equal(malloc_usable_size(block), 0);
        free(block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(dirty_memory_comes_back_zeroed),
        api_test(a_large_dirty_block_comes_back_zeroed),
        api_test(a_block_across_old_and_fresh_memory_is_zeroed),
        api_test(an_overflowing_product_is_out_of_memory),
        api_test(a_zero_factor_gives_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
