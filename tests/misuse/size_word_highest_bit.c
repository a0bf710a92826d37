/*
 * free of a block in whose size word the highest bit was changed.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    forge_word(block, *word_before(block) ^ (uint64_t)1 << 63);
    free(suspect(block));
    return 0;
}
