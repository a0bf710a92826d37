/*
 * malloc after a freed block was made to link to the stack, with a forged
 * chunk there that has the word of a real one and links back.
 *
 * caches: off
 *
 * expect: ptm: heap: broken free list: address ADDR, size 24, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    void *next = malloc(24);
    free(block);
    _Alignas(16) uint64_t forged[8] = {0, *word_before(block)};
    forged[3] = (uint64_t)block - 16;
    forge_link(block, NEXT, forged + 2);
    suspect(block);
    use(malloc(24));
    use(next);
    return 0;
}
