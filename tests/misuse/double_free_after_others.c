/*
 * free of a block, of 200 others of many sizes, and of the first one again.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    void *others[200];
    for (size_t i = 0; i < 200; i++) {
        others[i] = malloc(100 + 40 * i);
    }
    free(block);
    for (size_t i = 0; i < 200; i++) {
        free(others[i]);
    }
    free(suspect(block));
    return 0;
}
