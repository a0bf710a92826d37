/*
 * free of the address at which a direct mapping was before realloc moved it.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1 << 20);
    /* What lies behind the mapping keeps it from growing in place. */
    mmap(block - 16 + (1 << 20) + 4096, 4096, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    uintptr_t old = (uintptr_t)opaque(block);
    char *moved = realloc(block, 64 << 20);
    if ((uintptr_t)moved == old) {
        return 1;
    }
    free(suspect((void *)old));
    return 0;
}
