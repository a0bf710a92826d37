/*
 * A zero byte behind a block of 40 bytes, as a string that is one too long
 * leaves it.
 *
 * hardened: on
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR, size
 * 56, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(40);
    use(malloc(40));
    overwrite(block + 40, 0, 1);
    free(suspect(block));
    return 0;
}
