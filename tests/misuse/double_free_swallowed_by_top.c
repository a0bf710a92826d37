/*
 * free of a block twice; in between the top has moved down over it.
 *
 * caches: off
 *
 * expect: ptm: free(): double free: address ADDR, size SIZE, arena 1
 */
#include "crime.h"

int main(void)
{
    void *previous = malloc(24);
    void *block = malloc(24);
    void *next = malloc(24);
    free(block);
    free(next);
    free(previous);
    suspect_size(block);
    free(suspect(block));
    return 0;
}
