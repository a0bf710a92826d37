/*
 * realloc of a wild pointer.
 *
 * expect: ptm: realloc(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    use(realloc(suspect((void *)0x5eed5eed50), 100));
    return 0;
}
