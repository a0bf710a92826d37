/*
 * Alignment: 16 bytes always; more when asked for, each function with rules
 * of its own about what it may be asked.
 */
#include "api.h"

/* Alignments and sizes small and large, up to more than a heap. */
static const size_t alignments[] = {
    16, 32, 64, 128, 256, 4096, 8192, 65536, 1 << 20, 1 << 26, 1 << 27,
};
static const size_t sizes[] = {0,    1,      24,     100,    1000,
                               4096, 100000, 262144, 400000, 5 << 20};

static void every_block_is_aligned_to_16(void **state)
{
    (void)state;
    enum { SIZES = 600 };
    static void *blocks[SIZES];
    for (size_t i = 0; i < SIZES; i++) {
        size_t size = i < 300 ? i : i * i;
        blocks[i] = i % 3 == 0 ? malloc(size) : calloc(1, size);
        assert_true(is_aligned(blocks[i], 16));
        if (i % 5 == 0) {
            blocks[i] = realloc(blocks[i], size + i);
            assert_true(is_aligned(blocks[i], 16));
        }
    }
    for (size_t i = 0; i < SIZES; i++) {
        free(blocks[i]);
    }
}

/* An aligned block is a block like others: it can be written to its end,
 * resized and freed. */
static void check_block(char *block, size_t alignment, size_t size)
{
    assert_non_null(block);
    assert_true(is_aligned(block, alignment));
    /* What was asked for, and at least what the smallest block has; but a block
     * of no bytes may have none. */
    size_t usable = malloc_usable_size(block);
    assert_true(usable >= (size < 16 ? 16 : size) ||
                (size == 0 && usable == 0));
    size_t known = size < 5000 ? size : 5000;
    fill(block, known, 1);
    fill(block + usable - (usable < 16 ? usable : 16),
         usable < 16 ? usable : 16, 2);
    char *moved = realloc(block, size + 1000);
    assert_non_null(moved);
    /* The last 16 bytes may have overwritten the end of what is known. */
    assert_true(holds(moved, known < 16 ? 0 : known - 16, 1));
    free(moved);
}

static void memalign_aligns(void **state)
{
    (void)state;
    for (unsigned i = 0; i < count_of(alignments); i++) {
        for (unsigned k = 0; k < count_of(sizes); k++) {
            check_block(memalign(alignments[i], sizes[k]), alignments[i],
                        sizes[k]);
        }
        assert_int_equal(ptm_check(), 0);
    }
}

static void aligned_alloc_aligns(void **state)
{
    (void)state;
    for (unsigned i = 0; i < count_of(alignments); i++) {
        for (unsigned k = 0; k < count_of(sizes); k++) {
            /* Also where the size is no multiple of the alignment. */
            check_block(aligned_alloc(alignments[i], sizes[k]), alignments[i],
                        sizes[k]);
        }
    }
}

static void posix_memalign_aligns(void **state)
{
    (void)state;
    for (unsigned i = 0; i < count_of(alignments); i++) {
        for (unsigned k = 0; k < count_of(sizes); k++) {
            void *block = NULL;
            assert_int_equal(posix_memalign(&block, alignments[i], sizes[k]),
                             0);
            check_block(block, alignments[i], sizes[k]);
        }
    }
}

/* An object of a run is a multiple of its alignment, a chunk a little larger
 * than its request. */
static size_t most_usable_aligned(size_t alignment, size_t size)
{
    size_t object = object_for((size + alignment - 1) / alignment * alignment);
    size_t chunk = size + 24 + 31;
    return object > chunk ? object : chunk;
}

/* Many at once: each cuts its chunk out of a larger one, and what remains on
 * both sides must be given back whole. */
static void aligned_blocks_give_back_both_ends(void **state)
{
    (void)state;
    enum { BLOCKS = 300 };
    static char *blocks[BLOCKS];
    void *guard = malloc(100);
    size_t in_use = settled_use();
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = i * 37;
        blocks[i] = memalign((size_t)16 << i % 9, size);
        assert_true(is_aligned(blocks[i], (size_t)16 << i % 9));
        if (i % 9 == 0) {
            assert_true(malloc_usable_size(blocks[i]) <= most_usable(size));
        } else {
            assert_true(malloc_usable_size(blocks[i]) <=
                        most_usable_aligned((size_t)16 << i % 9, size));
        }
        fill(blocks[i], size, i);
    }
    assert_int_equal(ptm_check(), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        assert_true(holds(blocks[i], i * 37, i));
        free(blocks[i]);
    }
    assert_int_equal(settled_use(), in_use);
    free(guard);
}

static void memalign_takes_small_alignments_for_malloc(void **state)
{
    (void)state;
    for (size_t alignment = 0; alignment <= 16; alignment++) {
        void *block = memalign(alignment, 100);
        assert_non_null(block);
        assert_true(is_aligned(block, 16));
        assert_in_range(malloc_usable_size(block), 100, 131);
        free(block);
    }
}

static void memalign_rounds_up_to_a_power_of_two(void **state)
{
    (void)state;
    static const size_t asked[][2] = {
        {17, 32},
        {24, 32},
        {33, 64},
        {48, 64},
        {100, 128},
        {1000, 1024},
        {4097, 8192},
        {5000, 8192},
        {65537, 131072},
        {3 << 19, 1 << 21},
        {(1 << 20) + 16, 1 << 21},
    };
    for (unsigned i = 0; i < count_of(asked); i++) {
        /* Several, since one may be aligned by luck. */
        void *blocks[4];
        for (int k = 0; k < 4; k++) {
            blocks[k] = memalign(asked[i][0], 50);
            assert_non_null(blocks[k]);
            assert_true(is_aligned(blocks[k], asked[i][1]));
        }
        for (int k = 0; k < 4; k++) {
            free(blocks[k]);
        }
    }
}

static void memalign_refuses_alignments_beyond_the_largest_power(void **state)
{
    (void)state;
    static const size_t beyond[] = {(1UL << 63) + 1, 3UL << 62, SIZE_MAX - 1,
                                    SIZE_MAX};
    for (unsigned i = 0; i < count_of(beyond); i++) {
        errno = 0;
        assert_null(opaque(memalign(beyond[i], 100)));
        assert_int_equal(errno, EINVAL);
    }
}

/* An alignment and a size that are possible by themselves may overflow when
 * they are added. */
static void memalign_of_impossible_extent_is_out_of_memory(void **state)
{
    (void)state;
    static const size_t asked[][2] = {
        {1UL << 63, 0},
        {1UL << 63, 1},
        {1UL << 63, 100},
        {1UL << 63, PTRDIFF_MAX},
        {1UL << 62, PTRDIFF_MAX},
        {1UL << 62, (1UL << 62) - 64},
        {(1UL << 61) + 1, PTRDIFF_MAX - 4096},
        {4096, PTRDIFF_MAX},
        {4096, PTRDIFF_MAX - 4095},
        {1 << 20, PTRDIFF_MAX - (1 << 20)},
        {32, PTRDIFF_MAX - 8},
    };
    for (unsigned i = 0; i < count_of(asked); i++) {
        errno = 0;
        assert_null(opaque(memalign(asked[i][0], asked[i][1])));
        assert_int_equal(errno, ENOMEM);
    }
}

static void aligned_alloc_takes_powers_of_two_only(void **state)
{
    (void)state;
    static const size_t wrong[] = {0,    3,    6,    7,         12,
                                   24,   40,   48,   96,        4095,
                                   4097, 5000, 6144, 3UL << 62, SIZE_MAX};
    for (unsigned i = 0; i < count_of(wrong); i++) {
        errno = 0;
        assert_null(opaque(aligned_alloc(wrong[i], 96)));
        assert_int_equal(errno, EINVAL);
    }
    for (size_t alignment = 1; alignment <= 8; alignment *= 2) {
        void *block = aligned_alloc(alignment, 100);
        assert_non_null(block);
        assert_true(is_aligned(block, 16));
        free(block);
    }
}

static void posix_memalign_takes_powers_of_two_of_pointer_size(void **state)
{
    (void)state;
    static const size_t wrong[] = {0,  1,  2,    3,    4,         7,       9,
                                   24, 40, 4095, 4104, 3UL << 62, SIZE_MAX};
    for (unsigned i = 0; i < count_of(wrong); i++) {
        void *block = &block;
        assert_int_equal(posix_memalign(&block, wrong[i], 100), EINVAL);
        assert_ptr_equal(block, &block);
    }
    void *block = NULL;
    assert_int_equal(posix_memalign(&block, 8, 100), 0);
    assert_true(is_aligned(block, 16));
    free(block);
}

static void posix_memalign_returns_enomem(void **state)
{
    (void)state;
    for (unsigned i = 0; i < count_of(impossible_sizes); i++) {
        void *block = &block;
        assert_int_equal(posix_memalign(&block, 64, impossible_sizes[i]),
                         ENOMEM);
        assert_ptr_equal(block, &block);
        assert_int_equal(posix_memalign(&block, 8, impossible_sizes[i]),
                         ENOMEM);
        assert_ptr_equal(block, &block);
    }
}

static void valloc_aligns_to_a_page(void **state)
{
    (void)state;
    for (unsigned k = 0; k < count_of(sizes); k++) {
        void *first = valloc(sizes[k]);
        check_block(valloc(sizes[k]), page_size(), sizes[k]);
        check_block(first, page_size(), sizes[k]);
    }
}

static void pvalloc_rounds_up_to_whole_pages(void **state)
{
    (void)state;
    size_t page = page_size();
    for (unsigned k = 0; k < count_of(sizes); k++) {
        size_t whole = (sizes[k] + page - 1) / page * page;
        void *first = pvalloc(sizes[k]);
        check_block(pvalloc(sizes[k]), page, whole);
        check_block(first, page, whole);
    }
    check_block(pvalloc(page), page, page);
    check_block(pvalloc(page + 1), page, 2 * page);
}

static void pvalloc_and_valloc_of_zero_give_a_block(void **state)
{
    (void)state;
    check_block(valloc(0), page_size(), 0);
    check_block(pvalloc(0), page_size(), 0);
}

/* The rounding itself may overflow. */
static void pvalloc_of_almost_everything_is_out_of_memory(void **state)
{
    (void)state;
    size_t page = page_size();
    size_t almost[] = {SIZE_MAX,
                       SIZE_MAX - 1,
                       SIZE_MAX - page,
                       SIZE_MAX - page + 1,
                       SIZE_MAX - page + 2,
                       SIZE_MAX - 2 * page + 1,
                       PTRDIFF_MAX};
    for (unsigned i = 0; i < count_of(almost); i++) {
        errno = 0;
        assert_null(opaque(pvalloc(almost[i])));
        assert_int_equal(errno, ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(every_block_is_aligned_to_16),
        api_test(memalign_aligns),
        api_test(aligned_alloc_aligns),
        api_test(posix_memalign_aligns),
        api_test(aligned_blocks_give_back_both_ends),
        api_test(memalign_takes_small_alignments_for_malloc),
        api_test(memalign_rounds_up_to_a_power_of_two),
        api_test(memalign_refuses_alignments_beyond_the_largest_power),
        api_test(memalign_of_impossible_extent_is_out_of_memory),
        api_test(aligned_alloc_takes_powers_of_two_only),
        api_test(posix_memalign_takes_powers_of_two_of_pointer_size),
        api_test(posix_memalign_returns_enomem),
        api_test(valloc_aligns_to_a_page),
        api_test(pvalloc_rounds_up_to_whole_pages),
        api_test(pvalloc_and_valloc_of_zero_give_a_block),
        api_test(pvalloc_of_almost_everything_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
