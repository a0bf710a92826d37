/*
 * mallopt: what each parameter does from then on, and that the call returns 1
 * for those that mean nothing here too.
 */
#include "api.h"

#include <stdio.h>

#include "contention.h"

#define MIB (1 << 20)

static bool is_mapped(size_t size)
{
    size_t mappings = mallinfo2().hblks;
    void *block = malloc(size);
    assert_non_null(block);
    bool mapped = mallinfo2().hblks == mappings + 1;
    free(block);
    assert_int_equal(mallinfo2().hblks, mappings);
    return mapped;
}

static void every_parameter_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_MXFAST, 64), 1);
    assert_int_equal(mallopt(M_CHECK_ACTION, 3), 1);
    assert_int_equal(mallopt(M_ARENA_TEST, 2), 1);
    assert_int_equal(mallopt(12345, 1), 1);
    assert_int_equal(mallopt(-100, 1), 1);
    assert_int_equal(mallopt(0, 0), 1);
}

static void the_mmap_threshold_decides_what_is_mapped(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 64 << 10), 1);
    assert_false(is_mapped(60 << 10));
    assert_true(is_mapped(64 << 10));
    assert_true(is_mapped(70 << 10));
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 8 * MIB), 1);
    assert_false(is_mapped(7 * MIB));
    assert_true(is_mapped(8 * MIB));
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 256 << 10), 1);
    assert_true(is_mapped(256 << 10));
    assert_false(is_mapped(255 << 10));
}

/* In glibc a freed mapping raises the threshold, unless it was set. */
static void a_threshold_that_was_set_stays(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 256 << 10), 1);
    assert_true(is_mapped(30 * MIB));
    assert_true(is_mapped(MIB));
    assert_true(is_mapped(256 << 10));
}

static void mmap_max_limits_the_number_of_mappings(void **state)
{
    (void)state;
    size_t mappings = mallinfo2().hblks;
    assert_int_equal(mallopt(M_MMAP_MAX, (int)mappings + 2), 1);
    void *blocks[4];
    for (int i = 0; i < 4; i++) {
        blocks[i] = malloc(MIB);
        assert_non_null(blocks[i]);
        memset(blocks[i], i, MIB);
    }
    assert_int_equal(mallinfo2().hblks, mappings + 2);
    for (int i = 0; i < 4; i++) {
        assert_true(all_bytes_are(blocks[i], MIB, i));
        free(blocks[i]);
    }
    assert_int_equal(mallinfo2().hblks, mappings);
    assert_int_equal(mallopt(M_MMAP_MAX, 0), 1);
    assert_false(is_mapped(MIB));
    assert_int_equal(mallopt(M_MMAP_MAX, 65536), 1);
    assert_true(is_mapped(MIB));
}

enum { BLOCKS = 100 };
static void *blocks[BLOCKS];

static size_t resident_after_freeing_all_blocks(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(HEAP_BLOCK);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, HEAP_BLOCK);
    }
    for (int i = BLOCKS; i > 0; i--) {
        free(blocks[i - 1]);
        if (i == BLOCKS / 2) {
            /* What is too much for a while is too much. */
            usleep(200000);
        }
    }
    size_t resident = 0;
    for (int i = 0; i < BLOCKS; i++) {
        resident += resident_pages(blocks[i], HEAP_BLOCK);
    }
    return resident * page_size();
}

static void the_trim_threshold_decides_what_stays_at_the_top(void **state)
{
    (void)state;
    size_t decay = 0;
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, -1), 1);
    /* Nor does it go back by itself, however slow the machine is. */
    assert_int_equal(ptm_option_get("decay", &decay), 0);
    assert_int_equal(ptm_option_set("decay", UINT32_MAX), 0);
    assert_true(resident_after_freeing_all_blocks() >
                (size_t)BLOCKS * (HEAP_BLOCK - 2 * page_size()));
    assert_int_equal(ptm_option_set("decay", decay), 0);
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, MIB), 1);
    assert_true(resident_after_freeing_all_blocks() < 5 * MIB);
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, 4 * MIB), 1);
}

/* The pad comes on top whenever a heap grows. */
static void the_top_pad_is_taken_in_advance(void **state)
{
    (void)state;
    enum { BLOCKS_MAX = 500, PAD = 20 * MIB };
    static void *taken[BLOCKS_MAX];
    assert_int_equal(mallopt(M_TOP_PAD, PAD), 1);
    size_t bytes = mallinfo2().arena;
    size_t growth = 0;
    int count = 0;
    while (count < BLOCKS_MAX && growth == 0) {
        taken[count++] = malloc(HEAP_BLOCK);
        growth = mallinfo2().arena - bytes;
    }
    assert_in_range(growth, PAD, 2 * PAD);
    assert_int_equal(mallopt(M_TOP_PAD, 0), 1);
    while (count > 0) {
        free(taken[--count]);
    }
}

static void values_of_arena_max_below_one_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_ARENA_MAX, 1), 1);
    assert_int_equal(mallopt(M_ARENA_MAX, 0), 1);
    assert_int_equal(mallopt(M_ARENA_MAX, -1), 1);
    assert_int_equal(arenas_after_contention(PATIENCE_WITH_ONE_ARENA), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, while there is one arena. */
        api_test(values_of_arena_max_below_one_are_ignored),
        api_test(every_parameter_is_accepted),
        api_test(the_mmap_threshold_decides_what_is_mapped),
        api_test(a_threshold_that_was_set_stays),
        api_test(mmap_max_limits_the_number_of_mappings),
        api_test(the_trim_threshold_decides_what_stays_at_the_top),
        api_test(the_top_pad_is_taken_in_advance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
