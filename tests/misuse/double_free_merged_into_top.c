/*
 * free of the last block twice: the first time it became the top.
 *
 * caches: off
 *
 * expect: ptm: free(): double free: address ADDR, size SIZE, arena 1
 */
#include "crime.h"

int main(void)
{
    use(malloc(24));
    void *block = malloc(24);
    free(block);
    suspect_size(block);
    free(suspect(block));
    return 0;
}
