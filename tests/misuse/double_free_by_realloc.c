/*
 * free of a block that realloc to size 0 has freed.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    use(realloc(block, 0));
    free(suspect(block));
    return 0;
}
