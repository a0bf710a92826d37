/*
 * realloc of a freed object to another size.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: realloc(): use of a freed block: address ADDR, size 48, arena 1
 */
#include "crime.h"

int main(void)
{
    void *block = object(48);
    free(block);
    use(realloc(suspect(block), 100));
    return 0;
}
