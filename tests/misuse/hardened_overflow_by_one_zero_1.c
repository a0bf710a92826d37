/*
 * A zero byte behind a block of 1 bytes, as a string that is one too long
 * leaves it.
 *
 * hardened: on
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR, size
 * 24, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1);
    use(malloc(1));
    overwrite(block + 1, 0, 1);
    free(suspect(block));
    return 0;
}
