/*
 * free of a direct mapping whose size word was overwritten.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(1 << 20);
    forge_word(block, 0x4141414141414141);
    free(suspect(block));
    return 0;
}
