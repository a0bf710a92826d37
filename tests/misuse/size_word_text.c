/*
 * free of a block whose size word was overwritten with text.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    forge_word(block, 0x4141414141414141);
    free(suspect(block));
    return 0;
}
