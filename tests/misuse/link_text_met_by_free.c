/*
 * free of the block behind a freed one that was written to.
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
    overwrite(block, 'A', 16);
    suspect(block);
    free(next);
    use(next);
    return 0;
}
