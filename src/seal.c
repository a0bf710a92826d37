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

enum {
    KEYS_MISSING = 0,
    KEYS_IN_THE_MAKING = 1,
    KEYS_READY = 2,

    /* Pauses, some tenths of a second: more than the maker is off its CPU. */
    KEYS_PATIENCE = 1 << 24,
};

static uint32_t keys_state;

/* The word's key has a bit above those that a word can have, so that no product
 * is zero. */
static void make_keys(void)
{
    uint64_t random[2];
    os_random_bytes(random);
    uint64_t states = mix(random[0] + random[1]);
    seal_keys.word = mix(random[1]) | (uint64_t)1 << 40;
    seal_keys.cached = (uint32_t)states | 1;
    seal_keys.freed = ((uint32_t)(states >> 32) | 2) & ~1u;
    seal_keys.object = mix(states);
    seal_keys.address = mix(random[0]) | 1;
}

/* One thread makes the keys, others that come meanwhile wait for a few dozen
 * instructions. In a child of fork the maker may be gone; since the random
 * bytes are the same, any other makes the same keys. */
PTM_COLD static void prepare_once(void)
{
    uint32_t state = KEYS_MISSING;
    bool is_maker =
        __atomic_compare_exchange_n(&keys_state, &state, KEYS_IN_THE_MAKING,
                                    false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
    for (int i = 0; !is_maker && i < KEYS_PATIENCE; i++) {
        if (__atomic_load_n(&keys_state, __ATOMIC_ACQUIRE) == KEYS_READY) {
            return;
        }
        os_pause();
    }
    make_keys();
    __atomic_store_n(&keys_state, KEYS_READY, __ATOMIC_RELEASE);
}

void seal_prepare(void)
{
    if (unlikely(__atomic_load_n(&keys_state, __ATOMIC_ACQUIRE) !=
                 KEYS_READY)) {
        prepare_once();
    }
}
