/*
 * free of a block next to a freed one the back link of which was made to lead
 * to another block.
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
    void *other = calloc(1, 24);
    free(block);
    free(first);
    forge_link(block, PREVIOUS, other);
    suspect(block);
    free(next);
    return 0;
}
