/*
 * free_sized with a size that the block never had room for.
 *
 * expect: ptm: free(): block of another size: address ADDR, size 104, arena 1
 * expect hardened: ptm: free(): block of another size: address ADDR, size 100,
 * arena 1
 */
#include "crime.h"

/* C23's, which this libc's headers do not know. */
extern void free_sized(void *block, size_t size);
extern void free_aligned_sized(void *block, size_t alignment, size_t size);

int main(void)
{
    void *block = malloc(100);
    free_sized(suspect(block), 105);
    return 0;
}
