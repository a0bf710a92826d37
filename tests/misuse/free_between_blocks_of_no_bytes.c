/*
 * free of an address between two blocks of no bytes.
 *
 * expect: ptm: free(): misaligned pointer: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(0);
    use(malloc(0));
    free(suspect(block + 8));
    return 0;
}
