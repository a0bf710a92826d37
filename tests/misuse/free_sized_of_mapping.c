/*
 * free_sized with more than a mapping has.
 *
 * expect: ptm: free(): block of another size: address ADDR, size 1052656
 * expect hardened: ptm: free(): block of another size: address ADDR, size
 * 1048576
 */
#include "crime.h"

/* C23's, which this libc's headers do not know. */
extern void free_sized(void *block, size_t size);
extern void free_aligned_sized(void *block, size_t alignment, size_t size);

int main(void)
{
    void *block = malloc(1 << 20);
    free_sized(suspect(block), 2 << 20);
    return 0;
}
