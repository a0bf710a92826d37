/*
 * free_aligned_sized of a block as a much larger one.
 *
 * expect: ptm: free(): block of another size: address ADDR, size 104, arena
 * 1
 * expect hardened: ptm: free(): block of another size: address ADDR, size 100,
 * arena 1
 */
#include "crime.h"

void free_aligned_sized(void *memory, size_t alignment, size_t size);

int main(void)
{
    free_aligned_sized(suspect(malloc(100)), 16, SIZE_MAX);
    return 0;
}
