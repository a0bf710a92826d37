/*
 * memalign gets an object that was written to after its free: one byte.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: malloc(): block written to after its free: address ADDR, size
 * 64, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = object(64);
    free(block);
    suspect(block);
    overwrite(block + 8, block[8] + 1, 1);
    use(memalign(64, 64));
    return 0;
}
