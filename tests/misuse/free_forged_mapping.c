/*
 * free of a mapping of the program's own that has the header of a direct
 * mapping: which mappings are blocks is not written in them.
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *mapping = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *block = mapping + 16;
    *footer_before(block) = 65536;
    *word_before(block) = IS_MMAPPED;
    free(suspect(block));
    return 0;
}
