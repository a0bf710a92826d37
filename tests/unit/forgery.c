/*
 * forgery - who knows the seals of some headers, can he make one for another?
 *
 * Four ways are tried that break weaker checksums: a seal used again at another
 * address with the size changed by the same bits (breaks a product of their
 * xor); the difference of two seals at one address added to a third there, or
 * to one elsewhere (breaks sums of products); the same with xor; and a
 * difference that does not depend on the keys (breaks CRC). Each is tried many
 * times with many keys; blind guessing would succeed once in 2^32.
 */
#include "unit.h"

#include "chunk.h"
#include "rng.h"
#include "seal.h"

enum {
    TRIES = 400000,
    TRIES_WITH_A_KEY = 64,
};

/* Two addresses, and two words that differ. */
struct headers {
    uintptr_t here, there;
    uint32_t one, other;
};

static void draw_keys(struct rng *rng)
{
    seal_keys.address = rng_next(rng) | 1;
    seal_keys.word = rng_next(rng) | (uint64_t)1 << 40;
}

static struct headers draw_headers(struct rng *rng)
{
    struct headers headers;

    headers.here = 0x7f0000000000 | (rng_next(rng) & 0xfffffffff0);
    headers.there = headers.here ^ (16 + (rng_next(rng) & 0xfff0));
    headers.one = (uint32_t)(rng_next(rng) & 0xffff0) | 1;
    headers.other = headers.one ^ (16 + (uint32_t)(rng_next(rng) & 0xfff0));
    return headers;
}

static uint32_t seal(uintptr_t address, uint32_t word)
{
    return seal_of((const void *)address, word);
}

static bool is_forged_by_reuse(const struct headers *h)
{
    uint32_t moved = h->one ^ (uint32_t)(h->here ^ h->there);

    return seal(h->there, moved) == seal(h->here, h->one);
}

static bool is_forged_by_sums(const struct headers *h)
{
    uint32_t difference = seal(h->here, h->other) - seal(h->here, h->one);
    uint32_t third = h->other + (h->other - h->one);

    return seal(h->there, h->other) == seal(h->there, h->one) + difference ||
           seal(h->here, third) == seal(h->here, h->other) + difference;
}

static bool is_forged_by_xor(const struct headers *h)
{
    uint32_t difference = seal(h->here, h->other) ^ seal(h->here, h->one);

    return seal(h->there, h->other) == (seal(h->there, h->one) ^ difference);
}

static bool is_forged_without_keys(const struct headers *h, struct rng *rng)
{
    struct secret_keys kept = seal_keys;
    uint32_t before = seal(h->here, h->one) ^ seal(h->there, h->other);
    uint32_t after;

    draw_keys(rng);
    after = seal(h->here, h->one) ^ seal(h->there, h->other);
    seal_keys = kept;
    return before == after;
}

static void no_way_beats_guessing(void **state)
{
    struct rng rng = {.state = 20261123};
    struct secret_keys kept = seal_keys;
    unsigned forged[4] = {0};

    (void)state;
    for (int i = 0; i < TRIES; i++) {
        struct headers headers = draw_headers(&rng);

        if (i % TRIES_WITH_A_KEY == 0)
            draw_keys(&rng);
        forged[0] += is_forged_by_reuse(&headers);
        forged[1] += is_forged_by_sums(&headers);
        forged[2] += is_forged_by_xor(&headers);
        forged[3] += is_forged_without_keys(&headers, &rng);
    }
    seal_keys = kept;
    for (int way = 0; way < 4; way++)
        assert_in_range(forged[way], 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_way_beats_guessing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
