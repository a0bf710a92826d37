/*
 * A byte of a freed block of 100 bytes is written to; it is found when the
 * block leaves quarantine.
 *
 * hardened: on
 *
 * expect: ptm: heap: freed block written to: address ADDR, size 104, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(100);
    free(suspect(block));
    overwrite(block + 99, 'A', 1);
    empty_quarantine(100);
    return 0;
}
