/*
 * A zero byte behind a block of 1016 bytes, as a string that is one too long
 * leaves it.
 *
 * hardened: on
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR, size
 * 1032, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1016);
    use(malloc(1016));
    overwrite(block + 1016, 0, 1);
    free(suspect(block));
    return 0;
}
