/*
 * free of a block that was written past its end, over the header of a free
 * chunk.
 *
 * caches: off
 *
 * expect: ptm: free(): destroyed size word after the block: address ADDR, size
 * 24, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    void *next = malloc(24);
    use(malloc(24));
    free(next);
    overwrite(block, 'A', 24 + 8);
    free(suspect(block));
    return 0;
}
