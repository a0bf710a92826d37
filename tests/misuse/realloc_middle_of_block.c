/*
 * realloc of the middle of a block.
 *
 * expect: ptm: realloc(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = calloc(1, 1000);
    suspect_word(block + 512);
    use(realloc(suspect(block + 512), 100));
    return 0;
}
