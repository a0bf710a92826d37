/*
 * malloc after the links of a freed block were cleared: the one before it in
 * the list still links to it.
 *
 * caches: off
 *
 * expect: ptm: heap: broken free list: address ADDR, size 24, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    void *first = malloc(24);
    use(malloc(24));
    free(block);
    free(first);
    overwrite(block, 0, 16);
    suspect(first);
    use(malloc(24));
    return 0;
}
