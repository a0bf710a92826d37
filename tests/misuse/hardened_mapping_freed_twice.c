/*
 * free of a mapping twice; its addresses wait.
 *
 * hardened: on
 *
 * expect: ptm: free(): not a block of malloc: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *block = malloc(1000000);
    free(suspect(block));
    use(malloc(1000000));
    free(block);
    return 0;
}
