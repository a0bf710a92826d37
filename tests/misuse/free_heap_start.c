/*
 * free of the first address of a heap: what would be its size word lies before
 * the heap.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    char *heap = (char *)((uintptr_t)block / HEAP_SIZE * HEAP_SIZE);
    free(suspect(heap));
    return 0;
}
