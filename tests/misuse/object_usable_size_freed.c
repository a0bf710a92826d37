/*
 * malloc_usable_size of a freed object.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: malloc_usable_size(): use of a freed block: address ADDR, size
 * 48, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = object(48);
    free(block);
    return malloc_usable_size(suspect(block)) == 1;
    return 0;
}
