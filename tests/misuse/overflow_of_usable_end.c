/*
 * free of a block of which malloc_usable_size bytes and 8 more were used.
 *
 * caches: off
 *
 * expect: ptm: free(): destroyed size word after the block: address ADDR, size
 * 104, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(100);
    use(malloc(24));
    overwrite(block, 0xff, malloc_usable_size(block) + 8);
    free(suspect(block));
    return 0;
}
