/*
 * free of a block of an arena of the program's own, which was destroyed.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

#include "ptm.h"

int main(void)
{
    struct ptm_arena *arena = ptm_arena_create(0);
    void *block = ptm_arena_malloc(arena, 100);
    ptm_arena_destroy(arena);
    free(suspect(block));
    return 0;
}
