/*
 * malloc_usable_size of a block that was freed.
 *
 * expect: ptm: malloc_usable_size(): use of a freed block: address ADDR, size
 * 24, arena 1
 * expect hardened: ptm: malloc_usable_size(): use of a freed block: address
 * ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    malloc_usable_size(suspect(block));
    return 0;
}
