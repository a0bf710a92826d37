/*
 * A byte behind a mapping whose size is no multiple of 16: the rest is closed.
 *
 * hardened: on
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1000001);
    overwrite(block + 1000001, 'A', 1);
    free(suspect(block));
    return 0;
}
