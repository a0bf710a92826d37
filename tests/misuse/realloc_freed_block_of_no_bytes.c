/*
 * realloc of a freed block of no bytes.
 *
 * expect: ptm: realloc(): use of a freed block: address ADDR
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(0);
    free(block);
    use(realloc(suspect(block), 10));
    return 0;
}
