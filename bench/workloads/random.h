/*
 * random.h - random numbers that a seed repeats (splitmix64), in a handful of
 * instructions, so that the workload and not its dice is measured.
 */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *dice)
{
    uint64_t x = dice->state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Evenly from 0 to bound - 1, for bounds below 2^32. */
static inline size_t dice_below(struct dice *dice, size_t bound)
{
    return (size_t)(((dice_next(dice) >> 32) * bound) >> 32);
}

/* Evenly from low to high, both included. */
static inline size_t dice_between(struct dice *dice, size_t low, size_t high)
{
    return low + dice_below(dice, high - low + 1);
}

/* From low to high so that each doubling is as likely as the next: many small
 * ones, few large ones. `high` is `low` times a power of two. */
static inline size_t dice_doubling(struct dice *dice, size_t low, size_t high)
{
    unsigned doublings = (unsigned)__builtin_ctzll(high / low);
    size_t octave = low << dice_below(dice, doublings);
    return dice_between(dice, octave, 2 * octave);
}

#endif
