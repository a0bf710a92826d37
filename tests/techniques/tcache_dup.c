/*
 * tcache_dup: the oldest of all: a block is freed twice in a row.
 */
#include "technique.h"

int main(void)
{
    void *a = malloc(SMALL);
    free(opaque(a));
    *word_of(a, 1) = 0;
    free(opaque(a));
    grab_twice(SMALL);
    fails();
}
