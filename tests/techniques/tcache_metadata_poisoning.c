/*
 * tcache_metadata_poisoning: the thread's cache is a block like any other, at
 * the start of the heap, and its entries are overwritten. In ptm it is a
 * mapping: the attacker has a large block mapped below it and runs off its end.
 */
#include "technique.h"

static _Alignas(16) char target[4096];

int main(void)
{
    void *cached = malloc(SMALL);
    free(opaque(cached));
    /* All that is mapped from now on fills gaps, or lies below. */
    for (int i = 0; i < 8; i++) {
        overrun(malloc(MAPPED), MAPPED, cached, target + 64);
        grab(SMALL, target, sizeof target);
    }
    fails();
}
