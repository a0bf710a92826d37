/*
 * free of a block twice; in between malloc_trim has taken it out of the cache.
 * In hardened mode it is chance which free chunk it has become part of, and so
 * which size is told.
 *
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    malloc_trim(0);
    free(suspect(block));
    return 0;
}
