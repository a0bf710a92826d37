/*
 * free of what cannot be an address on this machine.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    free(suspect((void *)0xdeadbeefdeadbee0));
    return 0;
}
