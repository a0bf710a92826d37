/*
 * sampler.c - what is picked stands for what was not: bounds that chance misses
 * once in millions of times, with seeds that are always the same.
 */
#include "sampler.h"

#include "unit.h"

#include <math.h>

/* So far off is an estimate from `picks` samples once in two million. */
static double five_sigma(double picks)
{
    return 5 / sqrt(picks);
}

static void assert_near(double estimate, double truth, double share)
{
    if (estimate < truth * (1 - share) || estimate > truth * (1 + share)) {
        fail_msg("%g is not %g within %g", estimate, truth, share);
    }
}

struct estimate {
    double picks;
    double blocks;
    double bytes;
};

static struct estimate sample(size_t size, size_t blocks, size_t mean)
{
    struct estimate estimate = {0};
    for (size_t i = 0; i < blocks; i++) {
        if (!sampler_passes(size)) {
            double weight = sampler_weight(size, mean);
            estimate.picks++;
            estimate.blocks += weight;
            estimate.bytes += weight * (double)size;
            sampler_draw(mean);
        }
    }
    return estimate;
}

/* Small ones, ones around the mean, and ones that are nearly always picked. */
static void each_size_is_estimated_without_bias(void **state)
{
    enum { MEAN = 1000, BLOCKS = 2000000 };
    static const size_t sizes[] = {1, 16, 100, 500, 1000, 3000, 20000};
    (void)state;
    sampler_seed(1);
    sampler_draw(MEAN);
    for (size_t i = 0; i < count_of(sizes); i++) {
        struct estimate estimate = sample(sizes[i], BLOCKS, MEAN);
        double share = five_sigma(estimate.picks);
        assert_near(estimate.blocks, BLOCKS, share);
        assert_near(estimate.bytes, (double)BLOCKS * (double)sizes[i], share);
    }
}

/* A thread that alternates cannot keep the large ones from being picked. */
static void sizes_in_turn_are_told_apart(void **state)
{
    enum { MEAN = 1000, ROUNDS = 300000 };
    double small = 0, large = 0;
    (void)state;
    sampler_seed(2);
    sampler_draw(MEAN);
    for (int i = 0; i < ROUNDS; i++) {
        small += sample(16, 1, MEAN).blocks;
        large += sample(984, 1, MEAN).blocks;
    }
    assert_near(small, ROUNDS, five_sigma(ROUNDS * 16.0 / MEAN));
    assert_near(large, ROUNDS, five_sigma(ROUNDS / 2));
}

/* Mean and spread of an exponential distribution are the same. */
static void draws_are_exponential(void **state)
{
    enum { DRAWS = 200000 };
    const double mean = 512 << 10;
    double sum = 0, squares = 0, longest = 0;
    (void)state;
    sampler_seed(3);
    for (int i = 0; i < DRAWS; i++) {
        sampler_draw(512 << 10);
        double drawn = (double)sampler_left;
        sum += drawn;
        squares += drawn * drawn;
        longest = drawn > longest ? drawn : longest;
    }
    assert_near(sum / DRAWS, mean, five_sigma(DRAWS));
    assert_near(squares / DRAWS, 2 * mean * mean, 3 * five_sigma(DRAWS));
    assert_true(longest > 8 * mean && longest < 40 * mean);
}

static void weights_are_those_of_the_formula(void **state)
{
    const size_t mean = (size_t)1 << 40;
    (void)state;
    for (double x = 1e-9; x < 100; x *= 1.3) {
        size_t size = (size_t)(x * (double)mean);
        double chance = -expm1(-(double)size / (double)mean);
        assert_near(sampler_weight(size, mean), 1 / chance, 1e-9);
    }
    assert_true(sampler_weight((size_t)1 << 50, 1) == 1);
}

static void nothing_is_picked_at_no_bytes(void **state)
{
    (void)state;
    sampler_seed(4);
    sampler_draw(1);
    for (int i = 0; i < 1000; i++) {
        assert_true(sampler_passes(0));
    }
}

/* Threads that were not given a seed have draws of their own. */
static void seeds_make_the_draws(void **state)
{
    size_t first[4];
    (void)state;
    for (int round = 0; round < 2; round++) {
        sampler_seed(5);
        for (size_t i = 0; i < count_of(first); i++) {
            sampler_draw(1 << 20);
            assert_true(round == 0 || first[i] == sampler_left);
            first[i] = sampler_left;
        }
    }
    sampler_seed(6);
    sampler_draw(1 << 20);
    assert_true(first[0] != sampler_left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_size_is_estimated_without_bias),
        cmocka_unit_test(sizes_in_turn_are_told_apart),
        cmocka_unit_test(draws_are_exponential),
        cmocka_unit_test(weights_are_those_of_the_formula),
        cmocka_unit_test(nothing_is_picked_at_no_bytes),
        cmocka_unit_test(seeds_make_the_draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
