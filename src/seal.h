/*
 * seal.h - the keyed checksum that tells a size word of ours from any other.
 *
 *     seal = fold32((address ^ k0) * (word ^ k1))      128-bit product,
 *                                                      both halves xored
 *
 * One multiplication, eight instructions. It covers the chunk's address and
 * the low half of its word but for P, which the neighbour changes. A block in
 * a cache or on its way between threads carries the seal xored with a secret,
 * so what is expected in one state is never found in another.
 *
 * Who knows seals of many headers still cannot make one for another header:
 * tests/unit/forgery.c tries reuse at another address, additive and xor
 * transfer, and a linear map; each succeeds no more often than guessing.
 *
 * The keys are drawn from the kernel before the first chunk is made. They do
 * not change afterwards, as a child made by fork has its parent's blocks, and
 * lie in a page that may not be written any more.
 */
#ifndef PTM_SEAL_H
#define PTM_SEAL_H

#include "base.h"

struct secret_keys {
    uint64_t address;
    uint64_t word;
    uint64_t object; /* for the marks of freed objects, see run.h */
    uint32_t cached;
    uint32_t freed;
    uint64_t link; /* of bins: see there */
};

/* In a page of their own, which is read-only once they are made. */
extern union seal_page {
    struct secret_keys keys;
    char page[KEYS_PAGE];
} seal_page;

#define seal_keys (seal_page.keys)

static inline uint32_t seal_of(const void *chunk, uint32_t word)
{
    if (!PTM_SEALED) {
        return 0;
    }
    unsigned __int128 product =
        (unsigned __int128)((uintptr_t)chunk ^ seal_keys.address) *
        (word ^ seal_keys.word);
    return (uint32_t)product ^ (uint32_t)(product >> 64);
}

/* Called before a chunk is made; does something the first time. */
void seal_prepare(void);

#endif
