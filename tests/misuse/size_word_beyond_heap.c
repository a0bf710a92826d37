/*
 * free of a block whose size word tells more than the heap has.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    forge_size(block, (48 << 20) | PREV_INUSE);
    free(suspect(block));
    return 0;
}
