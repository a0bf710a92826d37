/*
 * free of a block behind which lies a large free one, whose size word was made
 * to tell a little more than it has.
 *
 * caches: off
 *
 * expect: ptm: free(): destroyed size word after the block: address ADDR, size
 * 24, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    void *next = malloc(100008);
    use(malloc(24));
    free(next);
    forge_size(next, 100032 | IS_FREE | PREV_INUSE);
    free(suspect(block));
    return 0;
}
