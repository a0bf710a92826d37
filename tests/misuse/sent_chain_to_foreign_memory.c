/*
 * malloc_trim after a block on its way home to its arena was made to link to
 * memory that the program mapped itself.
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
    char *mapping = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    forge_link(last, NEXT, mapping + 16);
    *word_before(mapping + 16) = *word_before(first);
    suspect(mapping + 16);
    malloc_trim(0);
    return 0;
}
