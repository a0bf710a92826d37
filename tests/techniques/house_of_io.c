/*
 * house_of_io: the cache's own block is freed, or what lies before the first
 * block of the heap, and comes back from malloc.
 */
#include "technique.h"

int main(void)
{
    char *block = malloc(CHUNKED);
    char *heap = (char *)((uintptr_t)block & -((uintptr_t)64 << 20));
    free(opaque(heap + 16));
    grab(SMALL, heap, 64);
    fails();
}
