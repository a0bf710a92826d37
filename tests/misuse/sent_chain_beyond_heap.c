/*
 * malloc_trim after a block on its way home to its arena was made to link to
 * where the heap has no memory.
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
    void *beyond = (void *)((uintptr_t)first | (HEAP_SIZE - 16));
    forge_link(last, NEXT, beyond);
    suspect_word(beyond);
    suspect(beyond);
    malloc_trim(0);
    return 0;
}
