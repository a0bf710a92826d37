/*
 * free of an address in the middle of an object.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): not the start of a block: address ADDR, size 48, arena
 * 1
 */
#include "crime.h"

int main(void)
{
    char *block = object(48);
    free(suspect(block + 16));
    return 0;
}
