/*
 * free of a block whose size word was made to tell more than it has.
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word WORD, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(calloc(1, 1000));
    forge_size(block, 80 | PREV_INUSE);
    free(suspect(block));
    return 0;
}
