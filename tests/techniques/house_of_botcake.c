/*
 * house_of_botcake: a block is freed into a free neighbour past the caches,
 * then a second time into a cache, so that it is in both.
 */
#include "technique.h"

int main(void)
{
    void *previous = malloc(CHUNKED);
    void *a = malloc(CHUNKED);
    malloc(CHUNKED);
    free(opaque(previous));
    free(opaque(a));
    settle();
    void *full[7];
    for (int i = 0; i < 7; i++) {
        full[i] = opaque(malloc(256));
    }
    for (int i = 0; i < 7; i++) {
        free(full[i]);
    }
    free(opaque(a));
    void *both = malloc(2 * CHUNKED);
    grab(CHUNKED, both, 2 * CHUNKED);
    fails();
}
