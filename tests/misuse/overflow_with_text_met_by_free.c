/*
 * free of a block that was written past its end, with text, over the header
 * behind it.
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
    use(malloc(24));
    use(malloc(24));
    overwrite(block, 'A', 24 + 8);
    free(suspect(block));
    return 0;
}
