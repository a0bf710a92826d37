/*
 * realloc of a variable on the stack.
 *
 * expect: ptm: realloc(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    _Alignas(16) char variable[64] = "";
    use(realloc(suspect(variable), 100));
    return 0;
}
