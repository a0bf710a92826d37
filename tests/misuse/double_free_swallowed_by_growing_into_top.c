/*
 * free of a block twice; in between it became a part of top, and realloc of the
 * block before it has taken the room in, where nothing is written yet.
 *
 * caches: off
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size SIZE, arena 1
 */
#include "crime.h"

int main(void)
{
    char *previous = malloc(1000);
    char *block = malloc(3000);
    free(block);
    if (realloc(opaque(previous), 5000) != previous) {
        complain("the block has moved\n");
    }
    suspect_size(block);
    free(suspect(block));
    return 0;
}
