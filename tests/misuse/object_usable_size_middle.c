/*
 * malloc_usable_size of an address in the middle of an object.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: malloc_usable_size(): not the start of a block: address ADDR,
 * size 48, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = object(48);
    return malloc_usable_size(suspect(block + 32)) == 1;
    return 0;
}
