/*
 * malloc_trim after the size word of a cached block was made to tell so much
 * that there is nothing where the next one would be: what is fetched ahead of
 * its free must not be looked for there.
 *
 * caches: on
 *
 * expect: ptm: heap: destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    forge_size(block, (3u << 30) | PREV_INUSE);
    suspect(block);
    malloc_trim(0);
    return 0;
}
