/*
 * free of a block that has come to say that the one before it is free, with a
 * footer of the right size; the one before is in use.
 *
 * caches: off
 *
 * expect: ptm: heap: destroyed footer: address ADDR, size 24, arena 1
 */
#include "footers.h"

int main(void)
{
    return free_behind_footer(32);
}
