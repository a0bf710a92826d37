/*
 * free_sized of an address where nothing is.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

void free_sized(void *memory, size_t size);

int main(void)
{
    free_sized(suspect((void *)0x123450), 100);
    return 0;
}
