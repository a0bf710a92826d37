/*
 * M_PERTURB: new blocks are filled with the complement of the byte, freed
 * ones with the byte, and calloc still gives zeros.
 */
#include "api.h"

enum { BYTE = 0x5a, COMPLEMENT = 0xa5 };

static int set_the_byte(void **state)
{
    (void)state;
    return mallopt(M_PERTURB, BYTE) == 1 ? 0 : -1;
}

static int clear_the_byte(void **state)
{
    (void)state;
    return mallopt(M_PERTURB, 0) == 1 ? ptm_check() : -1;
}

static void new_blocks_hold_the_complement(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,    24,         25,     100,
                                   5000, HEAP_BLOCK, 262144, MAPPED_BLOCK};
    for (unsigned i = 0; i < count_of(sizes); i++) {
        for (int round = 0; round < 2; round++) {
            void *block = malloc(sizes[i]);
            assert_true(all_bytes_are(block, sizes[i], COMPLEMENT));
            memset(block, 0, sizes[i]);
            free(block);
        }
        void *aligned = memalign(256, sizes[i]);
        assert_true(all_bytes_are(aligned, sizes[i], COMPLEMENT));
        free(aligned);
        void *resized = realloc(NULL, sizes[i]);
        assert_true(all_bytes_are(resized, sizes[i], COMPLEMENT));
        free(resized);
    }
}

static void calloc_still_gives_zeros(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,    24,         25,     100,
                                   5000, HEAP_BLOCK, 262144, MAPPED_BLOCK};
    for (unsigned i = 0; i < count_of(sizes); i++) {
        free(malloc(sizes[i]));
        void *block = calloc(1, sizes[i]);
        assert_true(all_bytes_are(block, sizes[i], 0));
        free(block);
    }
}

static void realloc_keeps_the_contents(void **state)
{
    (void)state;
    char *block = malloc(1000);
    void *guard = malloc(100);
    fill(block, 1000, 1);
    block = realloc(block, HEAP_BLOCK);
    assert_true(holds(block, 1000, 1));
    block = realloc(block, 500);
    assert_true(holds(block, 500, 1));
    free(block);
    free(guard);
}

/* The links at its start and the footer at its end belong to the allocator
 * now; everything between is the byte. */
static void freed_blocks_hold_the_byte(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 1000, 5000, HEAP_BLOCK};
    for (unsigned i = 0; i < count_of(sizes); i++) {
        void *below = malloc(sizes[i]);
        char *block = malloc(sizes[i]);
        void *above = malloc(sizes[i]);
        memset(block, 0, sizes[i]);
        free(block);
        assert_true(all_bytes_are(block + 32, sizes[i] - 48, BYTE));
        free(below);
        free(above);
    }
}

/* Blocks that were cached before are filled as well, and nothing that is freed
 * from then on hides in a cache. */
static void full_caches_change_nothing(void **state)
{
    (void)state;
    static const size_t sizes[] = {24, 100, 1016, 1017, 5000, HEAP_BLOCK};
    assert_int_equal(mallopt(M_PERTURB, 0), 1);
    for (unsigned i = 0; i < count_of(sizes); i++) {
        void *blocks[8];
        for (int k = 0; k < 8; k++) {
            blocks[k] = malloc(sizes[i]);
            memset(blocks[k], 0x11, sizes[i]);
        }
        for (int k = 0; k < 8; k++) {
            free(blocks[k]);
        }
    }
    assert_int_equal(mallopt(M_PERTURB, BYTE), 1);
    for (unsigned i = 0; i < count_of(sizes); i++) {
        char *blocks[20];
        for (int k = 0; k < 20; k++) {
            blocks[k] = malloc(sizes[i]);
            assert_true(all_bytes_are(blocks[k], sizes[i], COMPLEMENT));
        }
        for (int k = 0; k < 20; k++) {
            free(blocks[k]);
            size_t between = sizes[i] < 48 ? 0 : sizes[i] - 48;
            assert_true(all_bytes_are(blocks[k] + 32, between, BYTE));
        }
    }
}

static void zero_turns_it_off(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_PERTURB, 0), 1);
    void *below = malloc(1000);
    char *block = malloc(1000);
    void *above = malloc(1000);
    memset(block, 0x11, 1000);
    free(block);
    assert_true(all_bytes_are(block + 32, 1000 - 48, 0x11));
    free(below);
    free(above);
}

#define perturbed_test(function)                                               \
    cmocka_unit_test_setup_teardown(function, set_the_byte, clear_the_byte)

int main(void)
{
    const struct CMUnitTest tests[] = {
        perturbed_test(new_blocks_hold_the_complement),
        perturbed_test(calloc_still_gives_zeros),
        perturbed_test(realloc_keeps_the_contents),
        perturbed_test(freed_blocks_hold_the_byte),
        perturbed_test(full_caches_change_nothing),
        perturbed_test(zero_turns_it_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
