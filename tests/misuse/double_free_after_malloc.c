/*
 * free of a block twice, while other blocks come and go.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    for (size_t size = 100; size < 5000; size += 100) {
        use(malloc(size));
        free(malloc(size));
    }
    free(suspect(block));
    return 0;
}
