/*
 * free of a block whose size word was made to tell less than it has.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = calloc(1, 1000);
    use(malloc(24));
    forge_size(block, 80 | PREV_INUSE);
    free(suspect(block));
    return 0;
}
