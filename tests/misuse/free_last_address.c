/*
 * free of the last aligned address there is.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    free(suspect((void *)0xfffffffffffffff0));
    return 0;
}
