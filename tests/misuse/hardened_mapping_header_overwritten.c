/*
 * The byte before a mapping that stands between closed pages.
 *
 * hardened: on
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1000000);
    overwrite(block - 8, 'A', 8);
    suspect_word(block);
    free(suspect(block));
    return 0;
}
