/*
 * free of the address at which the next block would be: the top chunk.
 *
 * caches: off
 *
 * expect: ptm: free(): double free: address ADDR, size SIZE, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    char *top = block + 32;
    suspect_size(top);
    free(suspect(top));
    return 0;
}
