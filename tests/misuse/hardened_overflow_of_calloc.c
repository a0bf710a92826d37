/*
 * A byte behind a block of calloc.
 *
 * hardened: on
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR, size
 * 104, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = calloc(10, 10);
    overwrite(block + 100, 0, 1);
    free(suspect(block));
    return 0;
}
