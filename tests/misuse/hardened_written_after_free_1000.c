/*
 * A byte of a freed block of 1000 bytes is written to; it is found when the
 * block leaves quarantine.
 *
 * hardened: on
 *
 * expect: ptm: heap: freed block written to: address ADDR, size 1016, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1000);
    free(suspect(block));
    overwrite(block + 999, 'A', 1);
    empty_quarantine(1000);
    return 0;
}
