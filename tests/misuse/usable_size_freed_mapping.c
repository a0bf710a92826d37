/*
 * malloc_usable_size of a direct mapping that was freed.
 *
 * expect: ptm: malloc_usable_size(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(1 << 20);
    free(block);
    malloc_usable_size(suspect(block));
    return 0;
}
