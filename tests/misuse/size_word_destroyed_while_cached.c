/*
 * malloc_trim after the size word of a cached block was overwritten with text.
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
    forge_word(block, 0x4141414141414141);
    suspect(block);
    malloc_trim(0);
    return 0;
}
