/*
 * free of an object, of all others of its run, and of the first one again, when
 * malloc_trim has given the run back to the heap.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): not a block of malloc: address ADDR, arena 1
 */
#include "crime.h"

int main(void)
{
    void *blocks[3000];
    objects(blocks, 3000, 48);
    char *block = run_of(middle_object(blocks, 3000)) + 48 * 100;
    free_blocks(blocks, 3000);
    malloc_trim(0);
    free(suspect(block));
    return 0;
}
