/*
 * free of a block that has come to say that the chunk before it lies behind
 * it.
 *
 * caches: off
 *
 * expect: ptm: heap: destroyed footer: address ADDR, size 24, arena 1
 */
#include "footers.h"

int main(void)
{
    return free_behind_footer((uint64_t)-64);
}
