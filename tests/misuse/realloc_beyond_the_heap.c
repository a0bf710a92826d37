/*
 * realloc of an address behind the used part of a heap.
 *
 * expect: ptm: realloc(): not a block of malloc: address ADDR, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    char *heap = (char *)((uintptr_t)block / HEAP_SIZE * HEAP_SIZE);
    use(realloc(suspect(heap + HEAP_SIZE - 4096), 100));
    return 0;
}
