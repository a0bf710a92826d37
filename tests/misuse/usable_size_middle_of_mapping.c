/*
 * malloc_usable_size of an address within a direct mapping.
 *
 * expect: ptm: malloc_usable_size(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = calloc(1, 4 << 20);
    malloc_usable_size(suspect(block + (1 << 20)));
    return 0;
}
