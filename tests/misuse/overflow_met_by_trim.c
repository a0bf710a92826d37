/*
 * malloc_trim after a block was written past its end, over the header behind
 * it, and freed into the cache: then nobody has looked behind it.
 *
 * caches: on
 *
 * expect: ptm: heap: destroyed size word after the block: address ADDR, size
 * 24, arena 1
 * expect hardened: ptm: free(): bytes after the block overwritten: address
 * ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    use(malloc(24));
    use(malloc(24));
    overwrite(block, 'A', 24 + 8);
    free(suspect(block));
    malloc_trim(0);
    return 0;
}
