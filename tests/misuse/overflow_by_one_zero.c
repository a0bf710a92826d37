/*
 * free of a string whose terminating zero lies one byte past its block.
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
    use(malloc(264));
    use(malloc(24));
    overwrite(block, 'A', 24);
    overwrite(block + 24, 0, 1);
    free(suspect(block));
    return 0;
}
