/*
 * An overflow in an arena of the program's own is met by realloc of the block
 * whose size word it has overwritten.
 *
 * expect: ptm: realloc(): destroyed size word: address ADDR, word WORD, arena 2
 */
#include "crime.h"

#include "ptm.h"

int main(void)
{
    struct ptm_arena *arena = ptm_arena_create(0);
    char *block = ptm_arena_malloc(arena, 104);
    char *next = ptm_arena_malloc(arena, 104);
    overwrite(block, 'A', (size_t)(next - block));
    suspect_word(next);
    use(realloc(suspect(next), 200));
    return 0;
}
