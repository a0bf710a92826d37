/*
 * fastbin_dup: the check that the newest block is not freed again is passed by
 * another free in between.
 */
#include "technique.h"

int main(void)
{
    void *a = malloc(SMALL);
    void *b = malloc(SMALL);
    free(opaque(a));
    free(opaque(b));
    free(opaque(a));
    grab_twice(SMALL);
    fails();
}
