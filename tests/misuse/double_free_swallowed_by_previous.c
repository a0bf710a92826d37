/*
 * free of a block twice; in between the block before it was freed and took it
 * in.
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
    free(block);
    free(previous);
    free(suspect(block));
    return 0;
}
