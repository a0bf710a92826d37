/*
 * malloc_usable_size of the middle of a block.
 *
 * expect: ptm: malloc_usable_size(): destroyed size word: address ADDR, word
 * WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = calloc(1, 1000);
    suspect_word(block + 512);
    malloc_usable_size(suspect(block + 512));
    return 0;
}
