/*
 * free of an object, of 500 others of its size, and of the first one again: it
 * has left the cache of the thread for the depot of its arena.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size 48, arena 1
 */
#include "crime.h"

int main(void)
{
    void *others[500];
    void *block = object(48);
    objects(others, 500, 48);
    free(block);
    free_blocks(others, 500);
    free(suspect(block));
    return 0;
}
