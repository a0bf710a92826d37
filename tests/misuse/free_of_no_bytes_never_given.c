/*
 * free of an address where a block of no bytes could be, and is not.
 *
 * expect: ptm: free(): double free: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(0);
    free(suspect(block + 16));
    return 0;
}
