/*
 * free of an address just before a run, where the chunk begins that it is.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): destroyed size word: address ADDR, word 0x0, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = object(48);
    free(suspect(run_of(block) - 16));
    return 0;
}
