/*
 * free of a block before which lies a free one, the last bytes of which were
 * written to after its free.
 *
 * caches: off
 *
 * expect: ptm: heap: destroyed footer: address ADDR, size 24, arena 1
 */
#include "crime.h"

int main(void)
{
    char *previous = malloc(24);
    void *block = malloc(24);
    use(malloc(24));
    free(previous);
    overwrite(previous + 16, 'A', 8);
    free(suspect(block));
    return 0;
}
