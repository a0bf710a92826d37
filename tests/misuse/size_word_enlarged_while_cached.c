/*
 * malloc_trim after the size word of a cached block was made to tell more.
 *
 * caches: on
 *
 * expect: ptm: heap: destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(1000));
    free(block);
    forge_size(block, 80 | PREV_INUSE);
    suspect(block);
    malloc_trim(0);
    return 0;
}
