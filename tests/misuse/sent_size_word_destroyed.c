/*
 * malloc_trim after the size word of a block on its way home to its arena was
 * overwritten with text.
 *
 * caches: on
 *
 * expect: ptm: heap: destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

#include "sent.h"

int main(void)
{
    void *first = malloc(24);
    /* Alone, so that what waits beside it does not find it out. */
    use(malloc(3000));
    void *last = malloc(3000);
    use(malloc(3000));
    free_from_another_arena(first, last);
    forge_word(last, 0x4141414141414141);
    suspect(last);
    malloc_trim(0);
    return 0;
}
