/*
 * calloc gets an object that was written to after its free.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: malloc(): block written to after its free: address ADDR, size
 * 48, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = object(48);
    free(block);
    overwrite(suspect(block), 0, 16);
    use(calloc(1, 48));
    return 0;
}
