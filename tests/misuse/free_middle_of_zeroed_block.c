/*
 * free of the middle of a block, which holds zeros.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = calloc(1, 1000);
    suspect_word(block + 512);
    free(suspect(block + 512));
    return 0;
}
