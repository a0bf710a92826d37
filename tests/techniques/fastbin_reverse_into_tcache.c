/*
 * fastbin_reverse_into_tcache: blocks overflow from a cache to a list, one of
 * them is given a link to the stack, and the list is emptied into the cache.
 */
#include "technique.h"

static _Alignas(16) uint64_t region[64];

int main(void)
{
    enum { BLOCKS = 400 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SMALL);
    }
    region[1] = *size_word(blocks[0]);
    for (int i = 0; i < BLOCKS; i++) {
        free(opaque(blocks[i]));
    }
    for (int i = 0; i < BLOCKS; i++) {
        *word_of(blocks[i], 0) = (uintptr_t)(region + 2);
        *word_of(blocks[i], 1) = (uintptr_t)region;
    }
    grab(SMALL, region, sizeof region);
    fails();
}
