/*
 * malloc_usable_size of a freed block of no bytes.
 *
 * expect: ptm: malloc_usable_size(): use of a freed block: address ADDR
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(0);
    free(block);
    malloc_usable_size(suspect(block));
    return 0;
}
