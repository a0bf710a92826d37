/*
 * free_sized of a block that was freed.
 *
 * caches: on
 *
 * expect: ptm: free(): double free: address ADDR, size 104, arena 1
 */
#include "crime.h"

/* C23's, which this libc's headers do not know. */
extern void free_sized(void *block, size_t size);
extern void free_aligned_sized(void *block, size_t alignment, size_t size);

int main(void)
{
    void *block = malloc(100);
    free(block);
    free_sized(suspect(block), 100);
    return 0;
}
