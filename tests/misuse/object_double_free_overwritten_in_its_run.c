/*
 * free of an object, all of which is overwritten when it is back in its run,
 * and again: it comes back for the second time. No part of its page is unused.
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
    static void *others[1000];
    objects(others, 1000, 48);
    void *block = middle_object(others, 1000);
    free(block);
    malloc_trim(0);
    overwrite(block, 'A', 48);
    free(block);
    suspect(block);
    malloc_trim(0);
    return 0;
}
