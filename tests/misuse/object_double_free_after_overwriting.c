/*
 * free of an object, all of which is overwritten then, and again: it comes
 * back to its run for the second time when the caches are emptied.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: heap: double free: address ADDR, size 48, arena 1
 */
#include "crime.h"

int main(void)
{
    void *others[100];
    objects(others, 100, 48);
    void *block = others[50];
    free(block);
    overwrite(block, 'A', 48);
    free(block);
    suspect(block);
    malloc_trim(0);
    return 0;
}
