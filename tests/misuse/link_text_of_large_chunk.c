/*
 * malloc after a large freed block was written to.
 *
 * caches: off
 *
 * expect: ptm: heap: broken free list: address ADDR, size 100008, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(100008);
    void *next = malloc(24);
    free(block);
    overwrite(block, 'A', 16);
    suspect(block);
    use(malloc(100008));
    use(next);
    return 0;
}
