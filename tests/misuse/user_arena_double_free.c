/*
 * free of a block of an arena of the program's own twice.
 *
 * expect: ptm: free(): double free: address ADDR, size SIZE, arena 2
 */
#include "crime.h"

#include "ptm.h"

int main(void)
{
    struct ptm_arena *arena = ptm_arena_create(0);
    void *block = ptm_arena_malloc(arena, 100);
    use(ptm_arena_malloc(arena, 100));
    suspect_size(block);
    free(block);
    free(suspect(block));
    return 0;
}
