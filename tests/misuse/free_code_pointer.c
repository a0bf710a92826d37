/*
 * free of an address within the code.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    free(suspect((void *)((uintptr_t)main & ~(uintptr_t)15)));
    return 0;
}
