/*
 * realloc of a direct mapping that was freed.
 *
 * expect: ptm: realloc(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(1 << 20);
    free(block);
    use(realloc(suspect(block), 100));
    return 0;
}
