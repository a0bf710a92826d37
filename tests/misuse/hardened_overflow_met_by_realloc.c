/*
 * A byte behind a block that is then resized.
 *
 * hardened: on
 *
 * expect: ptm: realloc(): bytes after the block overwritten: address ADDR, size
 * 104, arena 1
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(100);
    overwrite(block + 100, 'A', 1);
    use(realloc(suspect(block), 200));
    return 0;
}
