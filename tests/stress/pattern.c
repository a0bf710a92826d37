/*
 * The contents of pattern.h. A block is a row of stretches: the whole of it
 * when it is small; else its two ends and some stretches between, evenly
 * spread.
 */
#include "pattern.h"

#include "rng.h"

#include <string.h>

enum { STRETCH = 256, SAMPLES = 16 };

typedef bool stretch_function(unsigned char *bytes, size_t from, size_t to,
                              uint64_t tag);

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The bytes of the 8-byte word number `word`. */
static uint64_t word_of(uint64_t tag, size_t word)
{
    return tag ^ rng_mix(word + 1);
}

static bool fill_stretch(unsigned char *bytes, size_t from, size_t to,
                         uint64_t tag)
{
    for (size_t at = from; at < to; at += 8) {
        uint64_t word = word_of(tag, at / 8);

        memcpy(bytes + at, &word, least(8, to - at));
    }
    return true;
}

static bool check_stretch(unsigned char *bytes, size_t from, size_t to,
                          uint64_t tag)
{
    for (size_t at = from; at < to; at += 8) {
        uint64_t word = word_of(tag, at / 8);

        if (memcmp(bytes + at, &word, least(8, to - at)) != 0)
            return false;
    }
    return true;
}

static bool zero_stretch(unsigned char *bytes, size_t from, size_t to,
                         uint64_t tag)
{
    (void)tag;
    for (size_t at = from; at < to; at++)
        if (bytes[at] != 0)
            return false;
    return true;
}

/* Where stretch number `i` of a large block begins: a multiple of 8. */
static size_t stretch_start(size_t size, size_t i)
{
    return ((size - STRETCH) / SAMPLES * i) & ~(size_t)7;
}

/* Visits the stretches of a block of `size` bytes as far as `prefix`. */
static bool for_stretches(unsigned char *bytes, size_t size, size_t prefix,
                          uint64_t tag, stretch_function *visit)
{
    if (size <= PATTERN_WHOLE_LIMIT)
        return visit(bytes, 0, prefix, tag);
    for (size_t i = 0; i <= SAMPLES; i++) {
        size_t from = i < SAMPLES ? stretch_start(size, i)
                                  : (size - STRETCH) & ~(size_t)7;
        size_t to = i < SAMPLES ? from + STRETCH : size;

        if (from >= prefix)
            break;
        if (!visit(bytes, from, least(to, prefix), tag))
            return false;
    }
    return true;
}

void pattern_fill(void *block, size_t size, uint64_t tag)
{
    for_stretches(block, size, size, tag, fill_stretch);
}

bool pattern_holds(const void *block, size_t size, size_t prefix, uint64_t tag)
{
    return for_stretches((unsigned char *)(uintptr_t)block, size, prefix, tag,
                         check_stretch);
}

bool pattern_is_zero(const void *block, size_t size)
{
    return for_stretches((unsigned char *)(uintptr_t)block, size, size, 0,
                         zero_stretch);
}
