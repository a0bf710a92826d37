/*
 * free of a large block of a heap twice.
 *
 * expect: ptm: free(): double free: address ADDR, size 213000, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 213016, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(213000);
    use(malloc(24));
    free(block);
    free(suspect(block));
    return 0;
}
