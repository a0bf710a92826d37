/*
 * free_sized with a byte more than was asked for.
 *
 * hardened: on
 *
 * expect: ptm: free(): block of another size: address ADDR, size 100, arena 1
 */
#include "crime.h"

void free_sized(void *block, size_t size);

int main(void)
{
    char *block = malloc(100);
    free_sized(suspect(block), 101);
    return 0;
}
