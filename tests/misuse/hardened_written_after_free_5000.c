/*
 * A byte of a freed block of 5000 bytes is written to; it is found when the
 * block leaves quarantine.
 *
 * hardened: on
 *
 * expect: ptm: heap: freed block written to: address ADDR, size 5016, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(5000);
    free(suspect(block));
    overwrite(block + 4999, 'A', 1);
    empty_quarantine(5000);
    return 0;
}
