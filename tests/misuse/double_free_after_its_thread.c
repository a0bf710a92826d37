/*
 * free of a block that a thread has freed, which has ended since: its cache was
 * emptied, or its quarantine.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

static void *free_it(void *block)
{
    free(malloc(24));
    free(block);
    return NULL;
}

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    in_other_thread(free_it, block);
    free(suspect(block));
    return 0;
}
