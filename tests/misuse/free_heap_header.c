/*
 * free of an address within the header of a heap.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    char *heap = (char *)((uintptr_t)block / HEAP_SIZE * HEAP_SIZE);
    free(suspect(heap + 48));
    return 0;
}
