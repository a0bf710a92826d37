/*
 * A zero byte behind a block of 200000 bytes, as a string that is one too long
 * leaves it.
 *
 * hardened: on
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR, size
 * 200008, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(200000);
    use(malloc(200000));
    overwrite(block + 200000, 0, 1);
    free(suspect(block));
    return 0;
}
