/*
 * free of an address within a direct mapping.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = calloc(1, 4 << 20);
    free(suspect(block + (1 << 20)));
    return 0;
}
