/*
 * malloc_trim while a block is cached that lies behind a free chunk, whose
 * footer was made to tell so much that there is nothing where it would begin:
 * what is fetched ahead of the free must not be looked for there.
 *
 * caches: on
 * hardened: off
 *
 * expect: ptm: heap: destroyed footer: address ADDR, size 2056, arena 1
 */
#include "crime.h"

int main(void)
{
    void *previous = malloc(2000);
    void *block = malloc(2000);
    use(malloc(2000));
    use(previous);
    free(previous);
    malloc_trim(0);
    free(suspect(block));
    *footer_before(block) = (uint64_t)1 << 40;
    malloc_trim(0);
    return 0;
}
