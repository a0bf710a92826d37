/*
 * overflow from the last object of a run into the size word behind the run,
 * which is met when the run is given back.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: heap: destroyed size word after the block: address ADDR, size
 * SIZE, arena 1
 */
#include "crime.h"

enum { OBJECTS = 341 };

int main(void)
{
    void *blocks[OBJECTS];
    objects(blocks, OBJECTS, 48);
    char *run = run_of(blocks[0]);
    char *last = blocks[OBJECTS - 1];
    if (last != run + 48 * (OBJECTS - 1)) {
        return 1;
    }
    suspect(run);
    suspect_size(run);
    overwrite(last, 'A', 48 + 16);
    free_blocks(blocks, OBJECTS);
    malloc_trim(0);
    return 0;
}
