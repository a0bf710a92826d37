/*
 * free of an object twice.
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
    void *block = object(48);
    free(block);
    free(suspect(block));
    return 0;
}
