/*
 * free twice of a block of no bytes.
 *
 * expect: ptm: free(): double free: address ADDR
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(0);
    free(block);
    free(suspect(block));
    return 0;
}
