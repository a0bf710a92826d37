/*
 * free_sized of a block that was freed.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

void free_sized(void *memory, size_t size);

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    free_sized(suspect(block), 24);
    return 0;
}
