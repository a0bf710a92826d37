/*
 * free of a block whose size word is that of another block of its size: a seal
 * is good for one address.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    void *other = malloc(24);
    use(malloc(24));
    forge_word(block, *word_before(other));
    free(suspect(block));
    return 0;
}
