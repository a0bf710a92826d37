/*
 * free of a string after its first character was skipped.
 *
 * expect: ptm: free(): misaligned pointer: address ADDR
 */
#include "crime.h"

int main(void)
{
    char *text = calloc(1, 100);
    text++;
    free(suspect(text));
    return 0;
}
