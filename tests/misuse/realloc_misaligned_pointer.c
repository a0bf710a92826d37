/*
 * realloc of a block's address and 8.
 *
 * expect: ptm: realloc(): misaligned pointer: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    use(realloc(suspect(block + 8), 100));
    return 0;
}
