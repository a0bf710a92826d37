/*
 * free of an address just before a run, behind the last object of the one that
 * lies there.
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
    void *blocks[3000];
    objects(blocks, 3000, 48);
    free(suspect(run_of(middle_object(blocks, 3000)) - 16));
    return 0;
}
