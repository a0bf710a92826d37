/*
 * free of the address at which a block was before realloc moved it.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    use(realloc(opaque(block), 1000));
    free(suspect(block));
    return 0;
}
