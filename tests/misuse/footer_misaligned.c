/*
 * free of a block that has come to say that the one before it is free, with a
 * footer that no chunk can have, which leads to what looks like a free chunk.
 *
 * caches: off
 *
 * expect: ptm: heap: destroyed footer: address ADDR, size 24, arena 1
 */
#include "crime.h"

int main(void)
{
    char *previous = calloc(1, 1000);
    char *block = malloc(24);
    use(malloc(24));
    *word_before(block) &= ~(uint64_t)PREV_INUSE;
    *footer_before(block) = 40;
    *word_before(block - 40) = 40 | IS_FREE;
    use(previous);
    free(suspect(block));
    return 0;
}
