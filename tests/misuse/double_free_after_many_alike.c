/*
 * free of a block, of 200 others of its size, and of the first one again: it
 * has left the cache of the thread for the depot of its arena.
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
        others[i] = malloc(24);
    }
    free(block);
    for (size_t i = 0; i < 200; i++) {
        free(others[i]);
    }
    free(suspect(block));
    return 0;
}
