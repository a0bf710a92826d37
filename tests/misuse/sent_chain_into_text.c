/*
 * malloc_trim after a block on its way home to its arena was written to: its
 * link to the next one is text.
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
    overwrite(last, 'A', 8);
    suspect((void *)0x4141414141414151);
    malloc_trim(0);
    return 0;
}
