/*
 * free of a block whose size word has come to say that it is a direct mapping.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    forge_word(block, *word_before(block) | IS_MMAPPED);
    free(suspect(block));
    return 0;
}
