/*
 * malloc after the last block was written past its end, with text, over the
 * header of the top.
 *
 * caches: off
 *
 * expect: ptm: heap: destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    char *top = block + 32;
    forge_word(top, 0x4141414141414141);
    suspect(top);
    use(malloc(24));
    return 0;
}
