/*
 * realloc to a smaller size of a block that was written past its end.
 *
 * expect: ptm: realloc(): destroyed size word after the block: address ADDR,
 * size 1000, arena 1
 * expect hardened: ptm: realloc(): bytes after the block overwritten: address
 * ADDR, size 1016, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1000);
    use(malloc(24));
    overwrite(block, 'A', 1000 + 8);
    use(realloc(suspect(block), 100));
    return 0;
}
