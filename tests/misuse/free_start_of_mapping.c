/*
 * free of the page at which a direct mapping begins, which is not its block.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1 << 20);
    free(suspect(block - 16));
    return 0;
}
