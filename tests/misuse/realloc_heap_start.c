/*
 * realloc of the first address of a heap: what would be its size word lies
 * before the heap.
 *
 * expect: ptm: realloc(): not a block of malloc: address ADDR, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    char *heap = (char *)((uintptr_t)block / HEAP_SIZE * HEAP_SIZE);
    use(realloc(suspect(heap), 24));
    return 0;
}
