/*
 * free of an object twice; in between malloc_trim has given it back to its
 * run, in which others are in use.
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
    void *others[100];
    objects(others, 100, 48);
    free(others[50]);
    malloc_trim(0);
    free(suspect(others[50]));
    return 0;
}
