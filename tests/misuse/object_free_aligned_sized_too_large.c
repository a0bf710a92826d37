/*
 * free_aligned_sized of an object of a run with a size that it cannot have.
 *
 * caches: on
 * hardened: off
 *
 * expect: ptm: free(): block of another size: address ADDR, size 48, arena 1
 */
#include "crime.h"

/* C23's, which this libc's headers do not know. */
extern void free_aligned_sized(void *block, size_t alignment, size_t size);

int main(void)
{
    void *block = object(48);
    free_aligned_sized(suspect(block), 16, 64);
    return 0;
}
