/*
 * realloc of a direct mapping whose header was overwritten.
 *
 * expect: ptm: realloc(): destroyed size word: address ADDR, word WORD
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(1 << 20);
    forge_word(block, 0);
    use(realloc(suspect(block), 100));
    return 0;
}
