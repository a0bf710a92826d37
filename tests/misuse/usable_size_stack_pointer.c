/*
 * malloc_usable_size of a variable on the stack.
 *
 * expect: ptm: malloc_usable_size(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    _Alignas(16) char variable[64] = "";
    malloc_usable_size(suspect(variable));
    return 0;
}
