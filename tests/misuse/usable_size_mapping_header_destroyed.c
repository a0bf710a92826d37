/*
 * malloc_usable_size of a direct mapping whose header was overwritten.
 *
 * expect: ptm: malloc_usable_size(): destroyed size word: address ADDR, word
 * WORD
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(1 << 20);
    forge_word(block, 0);
    malloc_usable_size(suspect(block));
    return 0;
}
