/*
 * free of a block's address and 8.
 *
 * expect: ptm: free(): misaligned pointer: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    free(suspect(block + 8));
    return 0;
}
