/*
 * sampler.h - which allocations a profile looks at.
 *
 *     |--x-------|------------x|--|----x--------------| ...  bytes asked for
 *        picked               picked    picked
 *
 * Each byte that the program asks for is hit with the same small chance, 1 /
 * mean, whatever was hit before; a block is picked if any of its bytes is. So a
 * thread draws how many bytes pass until the next hit, from an exponential
 * distribution, and counts down; behind a block that was picked it draws again,
 * which changes nothing, as the distribution has no memory. No pattern of the
 * program's can keep out of the way.
 *
 * A block of `size` bytes is picked with the chance 1 - e^(-size / mean), and
 * counts for as many blocks as one over that: then the sum over what was picked
 * is on average the sum over all, for each size and each place in the program.
 */
#ifndef PTM_SAMPLER_H
#define PTM_SAMPLER_H

#include "base.h"

/* Bytes that this thread may ask for before the next hit; 0 as well while
 * nothing was drawn. */
extern PTM_TLS size_t sampler_left;

/* Counts `size` bytes, if there is no hit among them. */
static inline bool sampler_passes(size_t size)
{
    size_t left;
    bool passes = !__builtin_sub_overflow(sampler_left, size, &left);
    if (likely(passes)) {
        sampler_left = left;
    }
    return passes;
}

/* Draws until when. `mean` is not 0. */
void sampler_draw(size_t mean);

/* Blocks that one of this size, not 0, stands for when it was picked. */
double sampler_weight(size_t size, size_t mean);

/* This thread's draws from now on are those of the seed. */
void sampler_seed(uint64_t seed);

#endif
