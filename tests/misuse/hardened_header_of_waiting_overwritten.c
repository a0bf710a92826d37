/*
 * The size word of a block that has left quarantine, and waits to be handed
 * out.
 *
 * hardened: on
 *
 * expect: ptm: heap: destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(600);
    free(suspect(block));
    empty_quarantine(24);
    overwrite(block - 8, 0x41, 8);
    suspect_word(block);
    for (int i = 0; i < 16; i++) {
        use(malloc(600));
    }
    return 0;
}
