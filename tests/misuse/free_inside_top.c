/*
 * free of an address in the part of a heap that was never given out.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    suspect_word(block + 65536);
    free(suspect(block + 65536));
    return 0;
}
