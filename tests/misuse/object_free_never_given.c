/*
 * free of an object of a run that was never given out: it has no mark yet. Its
 * run knows, when the caches are emptied and it comes back there.
 *
 * caches: on
 * hardened: off
 *
 * expect: ptm: heap: double free: address ADDR, size 48, arena 1
 */
#include "crime.h"

int main(void)
{
    void *blocks[200];
    char *last;
    objects(blocks, 200, 48);
    last = blocks[199];
    /* The last of its run. */
    free(suspect(run_of(last) + (RUN_SIZE - 8) / 48 * 48 - 48));
    malloc_trim(0);
    return 0;
}
