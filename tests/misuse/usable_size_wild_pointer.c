/*
 * malloc_usable_size of a wild pointer.
 *
 * expect: ptm: malloc_usable_size(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    malloc_usable_size(suspect((void *)0x5eed5eed50));
    return 0;
}
