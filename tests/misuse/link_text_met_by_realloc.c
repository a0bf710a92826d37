/*
 * realloc of a block that could grow into the freed one behind it, which was
 * written to.
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
    free(next);
    overwrite(next, 'A', 16);
    suspect(next);
    use(realloc(block, 50));
    return 0;
}
