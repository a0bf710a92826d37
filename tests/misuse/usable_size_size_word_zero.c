/*
 * malloc_usable_size of a block whose size word was overwritten with zeros.
 *
 * expect: ptm: malloc_usable_size(): destroyed size word: address ADDR, word
 * WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    forge_word(block, 0);
    malloc_usable_size(suspect(block));
    return 0;
}
