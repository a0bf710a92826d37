/*
 * free of an object, all of which is overwritten when it is back in its run,
 * and again: it comes back for the second time.
 *
 * caches: on
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
    malloc_trim(0);
    overwrite(block, 'A', 48);
    free(block);
    suspect(block);
    malloc_trim(0);
    return 0;
}
