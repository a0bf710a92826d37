/*
 * A byte behind a block that is then measured.
 *
 * hardened: on
 *
 * expect: ptm: malloc_usable_size(): bytes after the block overwritten: address
 * ADDR, size 104, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(100);
    overwrite(block + 100, 'A', 1);
    return (int)malloc_usable_size(suspect(block));
    return 0;
}
