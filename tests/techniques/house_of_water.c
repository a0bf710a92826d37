/*
 * house_of_water: the cache's counters are made to look like a chunk's size,
 * and a chunk's links to it come from a bin, so that no leak is needed. In ptm
 * there is nothing of the kind in the heap but its header: the attacker runs
 * off the first block's start and makes the heap longer than it is.
 */
#include "technique.h"

int main(void)
{
    char *block = malloc(CHUNKED);
    uint64_t *heap = (uint64_t *)((uintptr_t)block & -((uintptr_t)64 << 20));
    void *real = malloc(CHUNKED);
    heap[3] = heap[4] = (uint64_t)64 << 20;
    char *behind = (char *)heap + (32 << 20);
    (void)real;
    free(opaque(behind));
    settle();
    grab(CHUNKED, behind - (1 << 20), 2 << 20);
    fails();
}
