/*
 * realloc of an address in the middle of an object.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: realloc(): not the start of a block: address ADDR, size 48,
 * arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = object(48);
    use(realloc(suspect(block + 32), 100));
    return 0;
}
