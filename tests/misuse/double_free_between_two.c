/*
 * free of a block twice, the first time between two free chunks: all three are
 * one now.
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
    void *next = malloc(24);
    use(malloc(24));
    free(previous);
    free(next);
    free(block);
    free(suspect(block));
    return 0;
}
