/*
 * malloc_usable_size of memory that the program mapped itself.
 *
 * expect: ptm: malloc_usable_size(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *mapping = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    malloc_usable_size(suspect(mapping + 16));
    return 0;
}
