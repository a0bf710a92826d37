/*
 * A zero byte behind a block of 5000 bytes, as a string that is one too long
 * leaves it.
 *
 * hardened: on
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR, size
 * 5016, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(5000);
    use(malloc(5000));
    overwrite(block + 5000, 0, 1);
    free(suspect(block));
    return 0;
}
