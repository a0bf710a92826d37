/*
 * A byte behind an aligned block.
 *
 * hardened: on
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR, size
 * 104, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = memalign(256, 100);
    overwrite(block + 100, 'A', 1);
    free(suspect(block));
    return 0;
}
