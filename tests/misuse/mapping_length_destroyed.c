/*
 * free of a direct mapping whose length was made larger: no foreign page may
 * go with it.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(1 << 20);
    *footer_before(block) += 4096;
    suspect_word(block);
    free(suspect(block));
    return 0;
}
