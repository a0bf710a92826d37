/*
 * malloc after the size word of a large freed block was made to tell far more
 * than it has.
 *
 * caches: off
 *
 * expect: ptm: heap: broken free list: address ADDR, size 33554424, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(100008);
    use(malloc(24));
    free(block);
    forge_size(block, (32 << 20) | IS_FREE | PREV_INUSE);
    suspect(block);
    use(malloc(100008));
    return 0;
}
