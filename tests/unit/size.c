/*
 * size.c - requests become chunk sizes, and chunk sizes find their bins.
 */
#include "size.h"

#include "unit.h"

#include "rng.h"

static void requests_become_chunk_sizes(void **state)
{
    static const struct {
        size_t request, chunk;
    } cases[] = {
        {0, 32},
        {1, 32},
        {24, 32},
        {25, 48},
        {40, 48},
        {41, 64},
        {56, 64},
        {57, 80},
        {1000, 1008},
        {1001, 1024},
        {4088, 4096},
        {4089, 4112},
        {PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 17},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        assert_int_equal(request_to_chunk_size(cases[i].request),
                         cases[i].chunk);
    }
}

static void a_chunk_is_the_least_that_serves(void **state)
{
    struct rng rng = {1};
    (void)state;
    for (int i = 0; i < 100000; i++) {
        size_t request = rng_next(&rng) >> (1 + rng_below(&rng, 62));
        size_t size = request_to_chunk_size(request);
        assert_int_equal(size % MALLOC_ALIGNMENT, 0);
        assert_true(usable_size_of(size) >= request);
        assert_true(size == MIN_CHUNK_SIZE ||
                    usable_size_of(size - MALLOC_ALIGNMENT) < request);
    }
}

static void sizes_below_1k_have_a_bin_each(void **state)
{
    (void)state;
    assert_true(size_has_exact_bin(1008));
    assert_false(size_has_exact_bin(1024));
    for (size_t size = MIN_CHUNK_SIZE; size <= 1008; size += 16) {
        assert_int_equal(exact_bin_of(size) * MALLOC_ALIGNMENT, size);
        assert_true(exact_bin_of(size) < EXACT_BINS);
    }
}

static void larger_sizes_share_bins_in_octaves(void **state)
{
    static const struct {
        size_t size;
        unsigned octave, sub;
    } cases[] = {
        {1024, 0, 0},
        {1040, 0, 0},
        {1056, 0, 1},
        {1072, 0, 1},
        {2032, 0, 31},
        {2048, 1, 0},
        {2096, 1, 0},
        {2112, 1, 1},
        {4080, 1, 31},
        {4096, 2, 0},
        {8176, 2, 31},
        {8192, 3, 0},
        {1 << 20, 10, 0},
        {(1 << 20) + (1 << 15) - 16, 10, 0},
        {(1 << 20) + (1 << 15), 10, 1},
        {(1 << 25) - 16, 14, 31},
        {1 << 25, 15, 0},
        {(1 << 26) - 16, 15, 31},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        struct large_bin place = large_bin_of(cases[i].size);
        assert_int_equal(place.octave, cases[i].octave);
        assert_int_equal(place.sub, cases[i].sub);
    }
}

/* No bin is left out, none comes twice, and a bin's sizes are within 1/32. */
static void bins_follow_the_order_of_sizes(void **state)
{
    unsigned last = 0;
    size_t least = 1024;
    (void)state;
    for (size_t size = 1024; size < HEAP_MAX_SIZE; size += 16) {
        struct large_bin place = large_bin_of(size);
        unsigned at = place.octave * SUB_BINS + place.sub;
        if (at != last) {
            MUST(at == last + 1);
            last = at;
            least = size;
        }
        MUST((size - least) * SUB_BINS < least);
    }
    assert_int_equal(last, OCTAVES * SUB_BINS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_become_chunk_sizes),
        cmocka_unit_test(a_chunk_is_the_least_that_serves),
        cmocka_unit_test(sizes_below_1k_have_a_bin_each),
        cmocka_unit_test(larger_sizes_share_bins_in_octaves),
        cmocka_unit_test(bins_follow_the_order_of_sizes),
    };
    return UNIT_RUN(tests);
}
