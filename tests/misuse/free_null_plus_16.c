/*
 * free of a member of a structure that was never there: NULL and an offset.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    free(suspect((void *)16));
    return 0;
}
