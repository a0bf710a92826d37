/*
 * malloc_trim: gives the pages inside free chunks and the top back to the
 * kernel, keeps what the pad asks for, and says whether it found anything.
 */
#include "api.h"

enum { BLOCKS = 60 };
static unsigned char *blocks[BLOCKS];
static int result_with_nothing_to_give;

/* Nothing leaves by itself. */
static int keep_everything(void **state)
{
    (void)state;
    if (mallopt(M_TRIM_THRESHOLD, -1) != 1) {
        return -1;
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(HEAP_BLOCK);
        if (blocks[i] == NULL) {
            return -1;
        }
        fill(blocks[i], HEAP_BLOCK, i);
    }
    return 0;
}

static void nothing_to_give_returns_zero(void **state)
{
    (void)state;
    assert_int_equal(result_with_nothing_to_give, 0);
}

/* Every other block is free: no part of the top, each between two survivors.
 */
static void pages_between_survivors_go_back(void **state)
{
    (void)state;
    for (int i = 1; i < BLOCKS - 1; i += 2) {
        free(blocks[i]);
        assert_true(resident_pages(blocks[i], HEAP_BLOCK) > 20);
    }
    assert_int_equal(malloc_trim(0), 1);
    for (int i = 1; i < BLOCKS - 1; i += 2) {
        /* The links and the footer are at both ends. */
        assert_true(resident_pages(blocks[i], HEAP_BLOCK) <= 2);
    }
    assert_int_equal(ptm_check(), 0);
    for (unsigned i = 0; i < BLOCKS; i += 2) {
        assert_true(holds(blocks[i], HEAP_BLOCK, i));
    }
    /* What went is as good as new. */
    for (unsigned i = 1; i < BLOCKS - 1; i += 2) {
        blocks[i] = calloc(1, HEAP_BLOCK);
        assert_non_null(blocks[i]);
        assert_true(all_bytes_are(blocks[i], HEAP_BLOCK, 0));
        fill(blocks[i], HEAP_BLOCK, i);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        assert_true(holds(blocks[i], HEAP_BLOCK, i));
        free(blocks[i]);
    }
}

static size_t resident_of_all_blocks(void)
{
    size_t resident = 0;
    for (int i = 0; i < BLOCKS; i++) {
        resident += resident_pages(blocks[i], HEAP_BLOCK);
    }
    return resident * page_size();
}

static void free_all_blocks(void)
{
    for (int i = BLOCKS; i > 0; i--) {
        free(blocks[i - 1]);
    }
    assert_true(resident_of_all_blocks() > BLOCKS * (HEAP_BLOCK - 8192UL));
}

static void the_top_goes_back(void **state)
{
    (void)state;
    free_all_blocks();
    assert_int_equal(malloc_trim(0), 1);
    assert_true(resident_of_all_blocks() < 100000);
}

static void the_pad_stays(void **state)
{
    (void)state;
    enum { PAD = 2 << 20 };
    free_all_blocks();
    assert_int_equal(malloc_trim(PAD), 1);
    assert_in_range(resident_of_all_blocks(), PAD - 300000, PAD + 200000);
}

static void trimming_after_every_free_leaves_a_sound_heap(void **state)
{
    (void)state;
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
        malloc_trim(0);
        assert_int_equal(ptm_check(), 0);
    }
}

#define trim_test(function)                                                    \
    cmocka_unit_test_setup_teardown(function, keep_everything, heap_is_sound)

int main(void)
{
    /* At first there are a few small chunks, and a top that may stay. */
    result_with_nothing_to_give = malloc_trim(1UL << 30);
    const struct CMUnitTest tests[] = {
        api_test(nothing_to_give_returns_zero),
        trim_test(pages_between_survivors_go_back),
        trim_test(the_top_goes_back),
        trim_test(the_pad_stays),
        trim_test(trimming_after_every_free_leaves_a_sound_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
