/*
 * free of a block whose size word was made to tell that it reaches to the end
 * of its heap, where only the top does.
 *
 * caches: off
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    char *top = block + 32;
    uint64_t top_size = *word_before(top) & 0xfffffff0;
    forge_size(block, (uint32_t)(32 + top_size) | PREV_INUSE);
    free(suspect(block));
    return 0;
}
