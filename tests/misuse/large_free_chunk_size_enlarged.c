/*
 * malloc after the size word of a large freed block was made to tell a little
 * more than it has: that much of the block behind it would be given out.
 *
 * caches: off
 *
 * expect: ptm: heap: broken free list: address ADDR, size 100024, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(100008);
    use(malloc(24));
    free(block);
    forge_size(block, 100032 | IS_FREE | PREV_INUSE);
    suspect(block);
    use(malloc(100008));
    return 0;
}
