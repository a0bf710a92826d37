/*
 * realloc of a block that was written past its end, with text, over the header
 * behind it.
 *
 * expect: ptm: realloc(): destroyed size word after the block: address ADDR,
 * size 24, arena 1
 * expect hardened: ptm: realloc(): bytes after the block overwritten: address
 * ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    use(malloc(24));
    use(malloc(24));
    overwrite(block, 'A', 24 + 8);
    use(realloc(suspect(block), 100));
    return 0;
}
