/*
 * ptm_arena_malloc from an arena that was destroyed.
 *
 * expect: ptm: ptm_arena_malloc(): arena was destroyed before: address ADDR,
 * arena 2
 */
#include <ptm.h>

#include "crime.h"

int main(void)
{
    struct ptm_arena *arena = ptm_arena_create(0);
    ptm_arena_destroy(arena);
    use(ptm_arena_malloc(suspect(arena), 100));
    return 0;
}
