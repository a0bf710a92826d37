/*
 * realloc and reallocarray: the contents come along, the block stays where it
 * is when it can, and a call that fails has done nothing.
 */
#include "api.h"

static void null_gets_a_new_block(void **state)
{
    (void)state;
    void *block = realloc(NULL, 100);
    assert_non_null(block);
    assert_true(malloc_usable_size(block) >= 100);
    free(block);
}

static void null_with_size_zero_gets_a_block(void **state)
{
    (void)state;
    void *block = realloc(NULL, 0);
    assert_non_null(block);
    assert_int_equal(malloc_usable_size(block), 0);
    free(block);
}

static void size_zero_frees(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 24, 1000, HEAP_BLOCK, MAPPED_BLOCK};
    for (unsigned i = 0; i < count_of(sizes); i++) {
        void *guard = malloc(100);
        struct mallinfo2 before = settled_info();
        void *block = malloc(sizes[i]);
        assert_non_null(block);
        assert_null(realloc(opaque(block), 0));
        struct mallinfo2 after = settled_info();
        assert_int_equal(after.uordblks, before.uordblks);
        assert_int_equal(after.hblks, before.hblks);
        free(guard);
    }
}

/* From heap to heap, heap to mapping, mapping to mapping and back, growing
 * and shrinking. */
static void contents_come_along(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        1,      24,     25,        100,       1000,       70000,      200000,
        262144, 300000, 1UL << 20, 5UL << 20, 20UL << 20, 70UL << 20, 6UL << 20,
        300000, 250000, 5000,      40,        24,         1,
    };
    char *block = malloc(sizes[0]);
    fill(block, sizes[0], 5);
    for (unsigned i = 1; i < count_of(sizes); i++) {
        size_t kept = sizes[i] < sizes[i - 1] ? sizes[i] : sizes[i - 1];
        /* A neighbour keeps every second step from growing in place. */
        void *neighbour = i % 2 == 0 ? malloc(50) : NULL;
        block = realloc(block, sizes[i]);
        assert_non_null(block);
        assert_true(malloc_usable_size(block) >= sizes[i]);
        assert_true(is_aligned(block, 16));
        assert_true(holds(block, kept, 5));
        fill(block, sizes[i], 5);
        free(neighbour);
    }
    free(block);
}

static void a_block_that_moves_leaves_nothing_behind(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {
        {HEAP_BLOCK, 2 * HEAP_BLOCK},
        {HEAP_BLOCK, MAPPED_BLOCK},
        {MAPPED_BLOCK, 8 * MAPPED_BLOCK},
        {MAPPED_BLOCK, HEAP_BLOCK},
    };
    void *guard = malloc(100);
    for (unsigned i = 0; i < count_of(sizes); i++) {
        struct mallinfo2 before = settled_info();
        void *block = malloc(sizes[i][0]);
        void *neighbour = malloc(100);
        block = realloc(block, sizes[i][1]);
        assert_non_null(block);
        free(neighbour);
        free(block);
        struct mallinfo2 after = settled_info();
        assert_int_equal(after.uordblks, before.uordblks);
        assert_int_equal(after.hblkhd, before.hblkhd);
    }
    free(guard);
}

static void within_the_usable_size_nothing_changes(void **state)
{
    (void)state;
    static const size_t large[] = {HEAP_BLOCK, 262144, 262145, MAPPED_BLOCK};
    for (unsigned i = 0; i < 2000 + count_of(large); i++) {
        size_t size = i < 2000 ? i + 1 : large[i - 2000];
        void *block = malloc(size);
        size_t usable = malloc_usable_size(block);
        assert_ptr_equal(realloc(opaque(block), usable), block);
        assert_int_equal(malloc_usable_size(block), usable);
        assert_ptr_equal(realloc(opaque(block), size), block);
        /* What was given because of a class may be taken back. */
        assert_in_range(malloc_usable_size(block), size, usable);
        if (usable < size + 32) {
            assert_int_equal(malloc_usable_size(block), usable);
        }
        usable = malloc_usable_size(block);
        assert_ptr_equal(realloc(opaque(block), usable), block);
        assert_int_equal(malloc_usable_size(block), usable);
        free(block);
    }
}

static void a_block_grows_into_its_free_neighbour(void **state)
{
    (void)state;
    settle();
    char *block = malloc(HEAP_BLOCK);
    char *neighbour = malloc(HEAP_BLOCK);
    void *guard = malloc(HEAP_BLOCK);
    size_t usable = malloc_usable_size(block);
    assert_ptr_equal(neighbour, block + usable + 8);
    fill(block, HEAP_BLOCK, 1);
    free(neighbour);
    settle();
    /* With a part of the neighbour, some of it for later; the rest is still
     * free behind it. */
    assert_ptr_equal(realloc(opaque(block), usable + 5000), block);
    assert_int_equal(ptm_check(), 0);
    assert_true(malloc_usable_size(block) < usable + usable / 4 + 100);
    /* With all of it. */
    assert_ptr_equal(realloc(opaque(block), 2 * usable), block);
    assert_true(holds(block, HEAP_BLOCK, 1));
    /* With more than there is. */
    void *moved = realloc(opaque(block), 2 * usable + 40000);
    assert_non_null(moved);
    assert_ptr_not_equal(moved, block);
    assert_true(holds(moved, HEAP_BLOCK, 1));
    free(moved);
    free(guard);
}

/* Of many equal blocks the one with the highest address touches the top. */
static void the_last_block_grows_into_the_top(void **state)
{
    (void)state;
    enum { BLOCKS = 30 };
    char *blocks[BLOCKS];
    int last = 0;
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(HEAP_BLOCK);
        last = blocks[i] > blocks[last] ? i : last;
    }
    settle();
    char *block = blocks[last];
    fill(block, HEAP_BLOCK, 2);
    for (size_t size = HEAP_BLOCK; size < 2 * HEAP_BLOCK; size += 10000) {
        assert_ptr_equal(realloc(opaque(block), size), block);
        assert_true(malloc_usable_size(block) >= size);
    }
    assert_true(holds(block, HEAP_BLOCK, 2));
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}

static void a_block_shrinks_in_place_and_gives_back_the_rest(void **state)
{
    (void)state;
    char *block = malloc(2 * HEAP_BLOCK);
    void *guard = malloc(100);
    fill(block, HEAP_BLOCK, 3);
    size_t in_use = settled_use();
    size_t usable = malloc_usable_size(block);
    assert_ptr_equal(realloc(opaque(block), HEAP_BLOCK), block);
    assert_in_range(malloc_usable_size(block), HEAP_BLOCK, HEAP_BLOCK + 31);
    assert_int_equal(in_use - mallinfo2().uordblks,
                     usable - malloc_usable_size(block));
    /* What was cut off is at hand for the next block. */
    char *next = malloc(HEAP_BLOCK / 2);
    assert_true(next > block && next < block + 2 * HEAP_BLOCK);
    assert_true(holds(block, HEAP_BLOCK, 3));
    free(next);
    free(block);
    free(guard);
}

static void a_mapping_shrinks_and_gives_back_the_rest(void **state)
{
    (void)state;
    size_t mapped = mallinfo2().hblkhd;
    char *block = malloc(8UL << 20);
    fill(block, 1UL << 20, 4);
    block = realloc(block, 1UL << 20);
    assert_non_null(block);
    assert_true(holds(block, 1UL << 20, 4));
    assert_in_range(mallinfo2().hblkhd - mapped, 0, (1UL << 20) + 65536);
    free(block);
}

static void a_refused_size_leaves_the_block_alone(void **state)
{
    (void)state;
    static const size_t sizes[] = {24, 1000, HEAP_BLOCK, MAPPED_BLOCK};
    for (unsigned i = 0; i < count_of(sizes); i++) {
        void *block = malloc(sizes[i]);
        size_t usable = malloc_usable_size(block);
        fill(block, sizes[i], i);
        for (unsigned k = 0; k < count_of(impossible_sizes); k++) {
            errno = 0;
            assert_null(realloc(opaque(block), impossible_sizes[k]));
            assert_int_equal(errno, ENOMEM);
            errno = 0;
            assert_null(reallocarray(opaque(block), 1, impossible_sizes[k]));
            assert_int_equal(errno, ENOMEM);
        }
        assert_int_equal(malloc_usable_size(block), usable);
        assert_true(holds(block, sizes[i], i));
        free(block);
    }
}

/* The same when it is the kernel that has nothing left: a heap that cannot
 * grow, a mapping that cannot be made, moved or resized. */
static void a_kernel_without_memory_leaves_the_block_alone(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {
        {1000, 60UL << 20},
        {HEAP_BLOCK, 70UL << 20},
        {MAPPED_BLOCK, 2 * MAPPED_BLOCK},
        {MAPPED_BLOCK, 400UL << 20},
    };
    for (unsigned i = 0; i < count_of(sizes); i++) {
        void *block = malloc(sizes[i][0]);
        fill(block, sizes[i][0], i);
        faulty_use(&no_memory);
        errno = 0;
        void *moved = realloc(opaque(block), sizes[i][1]);
        int error = errno;
        faulty_use(NULL);
        assert_null(moved);
        assert_int_equal(error, ENOMEM);
        assert_true(holds(block, sizes[i][0], i));
        assert_int_equal(ptm_check(), 0);
        free(block);
    }
}

static void an_overflowing_product_leaves_the_block_alone(void **state)
{
    (void)state;
    static const size_t factors[][2] = {
        {SIZE_MAX, 2},          {2, SIZE_MAX},           {SIZE_MAX / 2 + 1, 2},
        {1UL << 32, 1UL << 32}, {SIZE_MAX / 16 + 1, 16}, {SIZE_MAX, SIZE_MAX},
    };
    void *block = malloc(1000);
    fill(block, 1000, 9);
    for (unsigned i = 0; i < count_of(factors); i++) {
        errno = 0;
        assert_null(reallocarray(opaque(block), factors[i][0], factors[i][1]));
        assert_int_equal(errno, ENOMEM);
        assert_true(holds(block, 1000, 9));
        errno = 0;
        assert_null(reallocarray(NULL, factors[i][0], factors[i][1]));
        assert_int_equal(errno, ENOMEM);
    }
    free(block);
}

static void reallocarray_multiplies(void **state)
{
    (void)state;
    char *block = reallocarray(NULL, 10, 100);
    assert_true(malloc_usable_size(block) >= 1000);
    fill(block, 1000, 6);
    block = reallocarray(block, 100, 1000);
    assert_true(malloc_usable_size(block) >= 100000);
    assert_true(holds(block, 1000, 6));
    size_t in_use = settled_use();
    assert_null(reallocarray(block, 0, 1000));
    assert_true(settled_use() < in_use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(null_gets_a_new_block),
        api_test(null_with_size_zero_gets_a_block),
        api_test(size_zero_frees),
        api_test(contents_come_along),
        api_test(a_block_that_moves_leaves_nothing_behind),
        api_test(within_the_usable_size_nothing_changes),
        api_test(a_block_grows_into_its_free_neighbour),
        api_test(the_last_block_grows_into_the_top),
        api_test(a_block_shrinks_in_place_and_gives_back_the_rest),
        api_test(a_mapping_shrinks_and_gives_back_the_rest),
        api_test(a_refused_size_leaves_the_block_alone),
        api_test(a_kernel_without_memory_leaves_the_block_alone),
        api_test(an_overflowing_product_leaves_the_block_alone),
        api_test(reallocarray_multiplies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
