/*
 * free of a block whose header was overwritten from the block before it.
 *
 * hardened: off
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    void *victim = malloc(24);
    use(malloc(24));
    overwrite(block, 'A', 24 + 8);
    suspect_word(victim);
    free(suspect(victim));
    return 0;
}
