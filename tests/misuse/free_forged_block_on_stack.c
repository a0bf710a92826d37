/*
 * free of a buffer on the stack that has the header of a block, and another
 * one behind it.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    _Alignas(16) uint64_t buffer[16] = {0};
    buffer[1] = 48 | PREV_INUSE;
    buffer[7] = 48 | PREV_INUSE;
    free(suspect(buffer + 2));
    return 0;
}
