/*
 * free of a block twice, with a thousand others in between that are larger.
 *
 * hardened: on
 *
 * expect: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(24);
    free(suspect(block));
    for (int i = 0; i < 900; i++) {
        free(opaque(malloc(100)));
    }
    free(block);
    return 0;
}
