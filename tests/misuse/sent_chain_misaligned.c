/*
 * malloc_trim after the low byte of the link of a block on its way home to its
 * arena was changed.
 *
 * caches: on
 *
 * expect: ptm: heap: broken chain of freed blocks: address ADDR, arena 1
 */
#include "crime.h"

#include "sent.h"

int main(void)
{
    void *first = malloc(24);
    void *last = malloc(24);
    use(malloc(24));
    free_from_another_arena(first, last);
    forge_link(last, NEXT, (char *)first + 8);
    suspect_word((char *)first + 8);
    suspect((char *)first + 8);
    malloc_trim(0);
    return 0;
}
