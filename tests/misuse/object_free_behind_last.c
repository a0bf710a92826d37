/*
 * free of an address behind the last object of a run.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): not the start of a block: address ADDR, size 48, arena
 * 1
 */
#include "crime.h"

int main(void)
{
    char *block = object(48);
    free(suspect(run_of(block) + RUN_SIZE - 16));
    return 0;
}
