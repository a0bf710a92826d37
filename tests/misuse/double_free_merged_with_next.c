/*
 * free of a block twice; the first time it took in the free chunk behind it.
 *
 * caches: off
 *
 * expect: ptm: free(): double free: address ADDR, size 56, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    void *next = malloc(24);
    use(malloc(24));
    free(next);
    free(block);
    free(suspect(block));
    return 0;
}
