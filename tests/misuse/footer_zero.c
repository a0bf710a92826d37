/*
 * free of a block that has come to say that the one before it is free, with a
 * footer of zero.
 *
 * caches: off
 *
 * expect: ptm: heap: destroyed footer: address ADDR, size 24, arena 1
 */
#include "crime.h"

int main(void)
{
    void *previous = malloc(24);
    void *block = malloc(24);
    use(malloc(24));
    *word_before(block) &= ~(uint64_t)PREV_INUSE;
    *footer_before(block) = 0;
    use(previous);
    free(suspect(block));
    return 0;
}
