/*
 * free_sized of a block of an arena of the program's own with a size that it
 * cannot have.
 *
 * expect: ptm: free(): block of another size: address ADDR, size SIZE, arena 2
 */
#include "crime.h"

#include "ptm.h"

/* C23's, which this libc's headers do not know. */
extern void free_sized(void *block, size_t size);

int main(void)
{
    struct ptm_arena *arena = ptm_arena_create(0);
    void *block = ptm_arena_malloc(arena, 100);
    suspect_size(block);
    free_sized(suspect(block), 200);
    return 0;
}
