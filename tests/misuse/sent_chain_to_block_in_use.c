/*
 * malloc_trim after a block on its way home to its arena was made to link to
 * one that is in use.
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
    void *last = malloc(24);
    use(malloc(24));
    void *other = malloc(100);
    free_from_another_arena(first, last);
    forge_link(last, NEXT, other);
    suspect_word(other);
    suspect(other);
    malloc_trim(0);
    return 0;
}
