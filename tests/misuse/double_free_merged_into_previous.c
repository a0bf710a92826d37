/*
 * free of a block twice, the first time into the free chunk before it.
 *
 * caches: off
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 */
#include "crime.h"

int main(void)
{
    void *previous = malloc(24);
    void *block = malloc(24);
    use(malloc(24));
    free(previous);
    free(block);
    free(suspect(block));
    return 0;
}
