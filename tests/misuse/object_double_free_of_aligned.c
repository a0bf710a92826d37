/*
 * free of an aligned object twice.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size 64, arena 1
 */
#include "crime.h"

int main(void)
{
    use(object(64));
    void *block = memalign(64, 50);
    if (malloc_usable_size(block) != 64) {
        return 1;
    }
    free(block);
    free(suspect(block));
    return 0;
}
