/*
 * free of a block that was overwritten, while it was cached, from the block
 * before it, and was given out again since.
 *
 * caches: on
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
    free(victim);
    overwrite(block, 'A', 24 + 8);
    if (malloc(24) != victim) {
        return 1;
    }
    suspect_word(victim);
    free(suspect(victim));
    return 0;
}
