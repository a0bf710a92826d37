/*
 * malloc_trim after the size word of a cached block was destroyed, whose
 * neighbours wait beside it to be freed together.
 *
 * caches: on
 * hardened: off
 *
 * expect: ptm: heap: destroyed size word after the block: address ADDR, size
 * 2056, arena 1
 */
#include "crime.h"

int main(void)
{
    char *blocks[7];
    for (int i = 0; i < 7; i++) {
        blocks[i] = malloc(2000);
        use(blocks[i]);
    }
    for (int i = 0; i < 7; i++) {
        free(blocks[i]);
    }
    forge_size(blocks[4], (48 << 20) | PREV_INUSE);
    suspect(blocks[3]);
    malloc_trim(0);
    return 0;
}
