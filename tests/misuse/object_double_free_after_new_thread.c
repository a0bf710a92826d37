/*
 * free of an object by a thread that has no cache, since it has never
 * allocated, and again by one that has.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size 48, arena 1
 */
#include "crime.h"

static void *free_it(void *block)
{
    free(block);
    return NULL;
}

int main(void)
{
    void *others[100];
    objects(others, 100, 48);
    in_other_thread(free_it, others[50]);
    free(suspect(others[50]));
    return 0;
}
