/*
 * free of a block next to a freed one the back link of which was cleared, as
 * if it were the first of its list.
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
    use(malloc(24));
    void *first = malloc(24);
    use(malloc(24));
    free(block);
    free(first);
    forge_link(block, PREVIOUS, NULL);
    suspect(block);
    free(next);
    return 0;
}
