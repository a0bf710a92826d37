/*
 * ptm_arena_destroy of an arena that was destroyed, and was made again since.
 *
 * expect: ptm: ptm_arena_destroy(): arena was destroyed before: address ADDR,
 * arena 2
 */
#include <ptm.h>

#include "crime.h"

int main(void)
{
    struct ptm_arena *arena = ptm_arena_create(0);
    ptm_arena_destroy(arena);
    use(ptm_arena_malloc(ptm_arena_create(0), 100));
    ptm_arena_destroy(suspect(arena));
    return 0;
}
