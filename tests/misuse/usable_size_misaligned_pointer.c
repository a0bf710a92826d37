/*
 * malloc_usable_size of a block's address and 8.
 *
 * expect: ptm: malloc_usable_size(): misaligned pointer: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    malloc_usable_size(suspect(block + 8));
    return 0;
}
