/*
 * free of a variable on the stack.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    _Alignas(16) char variable[64] = "";
    free(suspect(variable));
    return 0;
}
