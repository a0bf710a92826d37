/*
 * malloc after a freed block was written to: its link to the previous free
 * chunk is text.
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
    overwrite((char *)block + 8, 'A', 8);
    suspect(block);
    use(malloc(24));
    use(next);
    return 0;
}
