/*
 * free, by another thread, of a block that was freed.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

static void *free_it(void *block)
{
    /* This thread has a cache of its own by now. */
    free(malloc(24));
    free(block);
    return NULL;
}

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    in_other_thread(free_it, suspect(block));
    return 0;
}
