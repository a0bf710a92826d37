/*
 * free of an aligned direct mapping twice.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    void *block = memalign(1 << 20, 1 << 20);
    free(block);
    free(suspect(block));
    return 0;
}
