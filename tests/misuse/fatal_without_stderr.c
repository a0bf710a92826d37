/*
 * A crime in a program that has closed its standard error: nobody can be told,
 * but it ends all the same.
 *
 * expect: nothing
 */
#include "crime.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    close(2);
    free(block);
    return 0;
}
