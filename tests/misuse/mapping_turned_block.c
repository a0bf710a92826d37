/*
 * free of a direct mapping that has come to say that it is a block of a heap.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(1 << 20);
    forge_size(block, 32 | PREV_INUSE);
    free(suspect(block));
    return 0;
}
