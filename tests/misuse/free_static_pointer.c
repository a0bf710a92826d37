/*
 * free of a static variable.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

static _Alignas(16) char variable[64];

int main(void)
{
    free(suspect(variable));
    return 0;
}
