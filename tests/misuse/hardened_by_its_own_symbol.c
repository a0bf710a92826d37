/*
 * A byte behind a block, in a program that asks for hardened mode when it is
 * linked.
 *
 * caches: on
 * hardened: off
 *
 * expect: ptm: free(): bytes after the block overwritten: address ADDR, size
 * 104, arena 1
 */
#include "crime.h"

const char ptm_options[] = "hardened";

int main(void)
{
    char *block = malloc(100);
    overwrite(block + 100, 'A', 1);
    free(suspect(block));
    return 0;
}
