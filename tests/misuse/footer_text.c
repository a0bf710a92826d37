/*
 * free of a block that has come to say that the one before it is free, with
 * text for a footer.
 *
 * caches: off
 *
 * expect: ptm: heap: destroyed footer: address ADDR, size 24, arena 1
 */
#include "footers.h"

int main(void)
{
    return free_behind_footer(0x4141414141414141);
}
