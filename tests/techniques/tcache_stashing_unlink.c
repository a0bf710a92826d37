/*
 * tcache_stashing_unlink_attack: while a cache is filled from a bin, the back
 * link of a chunk there leads to a false one, which is cached unseen.
 */
#include "technique.h"

static _Alignas(16) uint64_t region[512];

int main(void)
{
    void *blocks[20];
    for (int i = 0; i < 20; i++) {
        blocks[i] = malloc(CHUNKED);
    }
    for (int i = 0; i < 20; i += 2) {
        free(opaque(blocks[i]));
    }
    settle();
    void *newest = blocks[0];
    void *oldest = blocks[18];
    uint64_t secret = link_secret(newest, PREVIOUS, 0);
    if (secret != link_secret(oldest, NEXT, 0)) {
        secret = link_secret(oldest, PREVIOUS, 0);
    }
    region[1] = *size_word(blocks[4]);
    forge_link(region + 2, PREVIOUS, secret, chunk_of(blocks[4]));
    forge_link(region + 2, NEXT, secret, chunk_of(blocks[4]));
    forge_link(blocks[4], NEXT, secret, region);
    grab(CHUNKED, region, sizeof region);
    fails();
}
