/*
 * free of a wild pointer: an address at which the process has nothing.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    free(suspect((void *)0x5eed5eed50));
    return 0;
}
