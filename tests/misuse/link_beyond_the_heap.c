/*
 * malloc after a freed block was made to link to where its heap has no memory.
 *
 * caches: off
 *
 * expect: ptm: heap: broken free list: address ADDR, size 24, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    void *next = malloc(24);
    free(block);
    forge_link(block, NEXT, (void *)((uintptr_t)block | (HEAP_SIZE - 16)));
    suspect(block);
    use(malloc(24));
    use(next);
    return 0;
}
