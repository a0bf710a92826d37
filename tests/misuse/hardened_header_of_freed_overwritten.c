/*
 * The size word of a freed block is overwritten; it is found when the block
 * leaves quarantine.
 *
 * hardened: on
 *
 * expect: ptm: heap: destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    free(suspect(block));
    overwrite(block - 8, 'A', 8);
    suspect_word(block);
    empty_quarantine(40);
    return 0;
}
