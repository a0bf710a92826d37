/*
 * malloc after the low byte of a freed block's link was changed.
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
    forge_link(block, NEXT, (char *)next + 8);
    suspect(block);
    use(malloc(24));
    use(next);
    return 0;
}
