/*
 * The same, met by realloc.
 *
 * hardened: on
 *
 * expect: ptm: realloc(): bytes after the block overwritten: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1000001);
    overwrite(block + 1000002, 0, 1);
    use(realloc(suspect(block), 5));
    return 0;
}
