#include "sampler.h"

#include <string.h>

#include "seal.h"

PTM_TLS size_t sampler_left;

static PTM_TLS uint64_t sampler_state; /* 0: not seeded */

void sampler_seed(uint64_t seed)
{
    sampler_state = seed | 1;
}

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators. */
static uint64_t draw_bits(void)
{
    if (unlikely(sampler_state == 0)) {
        seal_prepare();
        sampler_seed((uint64_t)seal_of(&sampler_state, 0) << 32 |
                     seal_of(&sampler_state, 1));
    }
    sampler_state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = sampler_state;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

/* ---- without the mathematics library, whose start others would pay for ----
 */

/* ln(number / 2^53), for a number from 1 to 2^53: the fraction by the series of
 * 2 atanh((f - 1) / (f + 1)), f from 1 to 2, exact to 1e-10. */
static double logarithm(uint64_t number)
{
    const double ln2 = 0.6931471805599453;
    unsigned bit = highest_bit(number);
    double fraction = (double)number / (double)((uint64_t)1 << bit);
    double quotient = (fraction - 1) / (fraction + 1);
    double square = quotient * quotient;
    double sum = 0;
    for (int i = 19; i > 0; i -= 2) {
        sum = sum * square + 1.0 / i;
    }
    return 2 * quotient * sum + ((double)bit - 53) * ln2;
}

/* 1 - e^-x, for x > 0: the series for a small part of x, doubled. */
static double chance(double x)
{
    if (x > 64) {
        return 1;
    }
    int halved = 0;
    for (; x > 0.125; x /= 2) {
        halved++;
    }
    double result = 0;
    for (int i = 10; i > 0; i--) {
        result = x / i * (1 - result);
    }
    for (; halved > 0; halved--) {
        result *= 2 - result;
    }
    return result;
}

/* ---- draws ----------------------------------------------------------------
 */

void sampler_draw(size_t mean)
{
    double bytes = (double)mean * -logarithm((draw_bits() >> 11) + 1);
    sampler_left =
        bytes < (double)(SIZE_MAX / 2) ? (size_t)bytes : SIZE_MAX / 2;
}

double sampler_weight(size_t size, size_t mean)
{
    return 1 / chance((double)size / (double)mean);
}
