/*
 * free of an aligned block twice.
 *
 * expect: ptm: free(): double free: address ADDR, size 1000, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 1016, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = memalign(4096, 1000);
    free(block);
    free(suspect(block));
    return 0;
}
