#include "seal.h"

#include "os.h"

struct seal_keys seal_keys;

/* A finaliser of the splitmix kind: every bit of the result depends on every
 * bit of the argument. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Two threads that come here at once store the same values. The word's key has
 * a bit above those that a word can have, so that no product is zero. */
void seal_prepare(void)
{
    uint64_t random[2];
    if (likely(__atomic_load_n(&seal_keys.address, __ATOMIC_ACQUIRE) != 0)) {
        return;
    }
    os_random_bytes(random);
    seal_keys.word = mix(random[1]) | (uint64_t)1 << 40;
    uint64_t states = mix(random[0] + random[1]);
    seal_keys.cached = (uint32_t)states | 1;
    seal_keys.freed = ((uint32_t)(states >> 32) | 2) & ~1u;
    __atomic_store_n(&seal_keys.address, mix(random[0]) | 1, __ATOMIC_RELEASE);
}
