/*
 * realloc of an address within a direct mapping.
 *
 * expect: ptm: realloc(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = calloc(1, 4 << 20);
    use(realloc(suspect(block + (1 << 20)), 100));
    return 0;
}
