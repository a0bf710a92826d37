/*
 * free_sized of a block of no bytes with a size.
 *
 * expect: ptm: free(): block of another size: address ADDR
 */
#include "crime.h"

/* C23's, which this libc's headers do not know. */
extern void free_sized(void *block, size_t size);
extern void free_aligned_sized(void *block, size_t alignment, size_t size);

int main(void)
{
    void *block = malloc(0);
    free_sized(suspect(block), 1);
    return 0;
}
