/*
 * realloc of a block that was freed, to the size that it has.
 *
 * expect: ptm: realloc(): use of a freed block: address ADDR, size 24, arena 1
 * expect hardened: ptm: realloc(): use of a freed block: address ADDR, size 40,
 * arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    use(realloc(suspect(block), 24));
    return 0;
}
