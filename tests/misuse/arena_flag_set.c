/*
 * free of a block of the main arena whose size word has come to say that it is
 * of another one.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    forge_word(block, *word_before(block) ^ NON_MAIN_ARENA);
    free(suspect(block));
    return 0;
}
