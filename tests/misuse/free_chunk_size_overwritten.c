/*
 * malloc after the size word of a freed block was made to tell more: the list
 * it is in is for smaller chunks.
 *
 * caches: off
 *
 * expect: ptm: heap: broken free list: address ADDR, size 136, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(1000));
    free(block);
    forge_size(block, 144 | IS_FREE | PREV_INUSE);
    suspect(block);
    use(malloc(24));
    return 0;
}
