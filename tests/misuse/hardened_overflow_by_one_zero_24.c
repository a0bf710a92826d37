/*
 * A zero byte behind a block of 24 bytes, as a string that is one too long
 * leaves it.
 *
 * hardened: on
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR, size
 * 40, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    use(malloc(24));
    overwrite(block + 24, 0, 1);
    free(suspect(block));
    return 0;
}
