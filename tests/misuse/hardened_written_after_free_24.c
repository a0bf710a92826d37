/*
 * A byte of a freed block of 24 bytes is written to; it is found when the block
 * leaves quarantine.
 *
 * hardened: on
 *
 * expect: ptm: heap: freed block written to: address ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    free(suspect(block));
    overwrite(block + 23, 'A', 1);
    empty_quarantine(24);
    return 0;
}
