/*
 * realloc of a large block that was freed.
 *
 * expect: ptm: realloc(): use of a freed block: address ADDR, size 213000,
 * arena 1
 * expect hardened: ptm: realloc(): use of a freed block: address ADDR, size
 * 213016, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(213000);
    use(malloc(24));
    free(block);
    use(realloc(suspect(block), 100));
    return 0;
}
