#include "seal.h"

#include "os.h"

PTM_SPARSE union seal_page seal_page __attribute__((aligned(KEYS_PAGE)));

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
    KEYS_DOUBTED = 2, /* in the making, by several */
    KEYS_READY = 3,

    /* Pauses, some tenths of a second: more than the maker is off its CPU. */
    KEYS_PATIENCE = 1 << 24,
};

static uint32_t keys_state;

/* What the keys are made of. Whoever draws first has drawn for all: so who
 * makes the keys a second time makes the same ones. */
static uint64_t seeds[2];

static void draw_seeds(uint64_t drawn[2])
{
    os_random_bytes(drawn);
    for (int i = 0; i < 2; i++) {
        uint64_t none = 0;
        drawn[i] += drawn[i] == 0;
        if (!__atomic_compare_exchange_n(&seeds[i], &none, drawn[i], false,
                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            drawn[i] = none;
        }
    }
}

/* The word's key has a bit above those that a word can have, so that no product
 * is zero. */
static struct secret_keys derive_keys(const uint64_t seed[2])
{
    uint64_t states = mix(seed[0] + seed[1]);
    return (struct secret_keys){
        .address = mix(seed[0]) | 1,
        .word = mix(seed[1]) | (uint64_t)1 << 40,
        .cached = (uint32_t)states | 1,
        .freed = ((uint32_t)(states >> 32) | 2) & ~1u,
        .link = mix(states ^ seed[1]),
        .object = mix(states),
    };
}

static void make_keys(void)
{
    uint64_t seed[2];
    draw_seeds(seed);
    seal_keys = derive_keys(seed);
}

/* The page is whole pages only where the kernel's are not larger. */
static void freeze_keys(void)
{
    if (KEYS_PAGE % os_page_size() == 0) {
        os_freeze(&seal_page, KEYS_PAGE);
    }
}

static uint32_t keys_are(void)
{
    return __atomic_load_n(&keys_state, __ATOMIC_ACQUIRE);
}

/* From one state to another, if that is what it was. */
static bool keys_become(uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&keys_state, &from, to, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* One thread makes the keys, others that come meanwhile wait for two system
 * calls. In a child of fork the maker may be gone: who has waited in vain says
 * so and makes the same keys of the same seeds. Only a maker whom nobody has
 * doubted closes the page, since nobody else writes to it then. */
PTM_COLD static void prepare_once(void)
{
    bool is_maker = keys_become(KEYS_MISSING, KEYS_IN_THE_MAKING);
    for (int i = 0; !is_maker && i < KEYS_PATIENCE; i++) {
        if (keys_are() == KEYS_READY) {
            return;
        }
        os_pause();
    }
    if (!is_maker && !keys_become(KEYS_IN_THE_MAKING, KEYS_DOUBTED) &&
        keys_are() == KEYS_READY) {
        return;
    }
    make_keys();
    if (keys_become(KEYS_IN_THE_MAKING, KEYS_READY)) {
        freeze_keys();
    } else {
        keys_become(KEYS_DOUBTED, KEYS_READY);
    }
}

void seal_prepare(void)
{
    if (unlikely(__atomic_load_n(&keys_state, __ATOMIC_ACQUIRE) !=
                 KEYS_READY)) {
        prepare_once();
    }
}
