/*
 * free of a block that has come to say that a chunk before it reaches out of
 * the heap.
 *
 * caches: off
 *
 * expect: ptm: heap: destroyed footer: address ADDR, size 24, arena 1
 */
#include "footers.h"

int main(void)
{
    return free_behind_footer(1 << 20);
}
