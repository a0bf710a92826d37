#include "zero.h"

#include "closed.h"

enum {
    WORD_BITS = 64,
    BLOCKS = ZERO_REGION / MALLOC_ALIGNMENT,
    WORDS = BLOCKS / WORD_BITS,
};

char *zero_region;

PTM_SPARSE static uint64_t zero_bits[WORDS];
static uint32_t hint; /* the word that had a clear bit last */

/* The first part of the closed region. Of several threads that find it one
 * stores it, and the tries of the others count as writes as well: so whoever
 * reads it does so atomically. */
static char *find_region(void)
{
    char *region = closed_region();
    char *none = NULL;
    __atomic_compare_exchange_n(&zero_region, &none, region, false,
                                __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    return region;
}

/* Sets a clear bit of the word; WORD_BITS when there is none. */
static unsigned take_bit(uint64_t *word)
{
    uint64_t bits = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (bits != UINT64_MAX) {
        unsigned bit = lowest_bit(~bits);
        uint64_t mask = (uint64_t)1 << bit;
        bits = __atomic_fetch_or(word, mask, __ATOMIC_RELAXED);
        if ((bits & mask) == 0) {
            return bit;
        }
    }
    return WORD_BITS;
}

void *zero_allocate(void)
{
    char *region = __atomic_load_n(&zero_region, __ATOMIC_ACQUIRE);
    if (region == NULL) {
        region = find_region();
    }
    uint32_t first = __atomic_load_n(&hint, __ATOMIC_RELAXED);
    for (uint32_t i = 0; region != NULL && i < ZERO_PATIENCE; i++) {
        uint32_t word = (first + i) % WORDS;
        unsigned bit = take_bit(&zero_bits[word]);
        if (bit < WORD_BITS) {
            __atomic_store_n(&hint, word, __ATOMIC_RELAXED);
            return region + ((size_t)word * WORD_BITS + bit) * MALLOC_ALIGNMENT;
        }
    }
    /* The next one looks further on. */
    __atomic_store_n(&hint, first + ZERO_PATIENCE, __ATOMIC_RELAXED);
    return NULL;
}

/* Who has a block knows the region: it is the same for all. */
static size_t index_of(const void *mem)
{
    const char *region = __atomic_load_n(&zero_region, __ATOMIC_RELAXED);
    return ((uintptr_t)mem - (uintptr_t)region) / MALLOC_ALIGNMENT;
}

bool zero_is_live(const void *mem)
{
    size_t i = index_of(mem);
    return (__atomic_load_n(&zero_bits[i / WORD_BITS], __ATOMIC_RELAXED) >>
                (i % WORD_BITS) &
            1) != 0;
}

static int visit_word(char *region, size_t word,
                      int (*visit)(void *mem, size_t size, void *data),
                      void *data)
{
    uint64_t bits = __atomic_load_n(&zero_bits[word], __ATOMIC_RELAXED);
    int result = 0;
    for (; bits != 0 && result == 0; bits &= bits - 1) {
        size_t index = word * WORD_BITS + lowest_bit(bits);
        result = visit(region + index * MALLOC_ALIGNMENT, 0, data);
    }
    return result;
}

int zero_visit(int (*visit)(void *mem, size_t size, void *data), void *data)
{
    char *region = __atomic_load_n(&zero_region, __ATOMIC_ACQUIRE);
    int result = 0;
    for (size_t word = 0; region != NULL && word < WORDS && result == 0;
         word++) {
        result = visit_word(region, word, visit, data);
    }
    return result;
}

bool zero_free(void *mem)
{
    size_t i = index_of(mem);
    uint64_t mask = (uint64_t)1 << (i % WORD_BITS);
    uint64_t before =
        __atomic_fetch_and(&zero_bits[i / WORD_BITS], ~mask, __ATOMIC_RELAXED);
    return (before & mask) != 0;
}
