/*
 * free of a block, of another one, and of the first one again.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    void *first = malloc(24);
    use(malloc(24));
    void *second = malloc(24);
    use(malloc(24));
    free(first);
    free(second);
    free(suspect(first));
    return 0;
}
