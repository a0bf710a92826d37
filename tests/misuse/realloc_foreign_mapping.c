/*
 * realloc of memory that the program mapped itself.
 *
 * expect: ptm: realloc(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *mapping = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    use(realloc(suspect(mapping + 16), 100));
    return 0;
}
