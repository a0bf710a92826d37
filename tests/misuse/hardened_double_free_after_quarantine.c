/*
 * free of a block twice, which has left quarantine meanwhile, and waits.
 *
 * hardened: on
 *
 * expect: ptm: free(): double free: address ADDR, size 616, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(600);
    free(suspect(block));
    empty_quarantine(24);
    free(block);
    return 0;
}
