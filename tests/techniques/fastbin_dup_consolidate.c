/*
 * fastbin_dup_consolidate: a small block is freed, a large request makes the
 * heap merge, and the small one is freed again, which frees the large one.
 */
#include "technique.h"

int main(void)
{
    void *small = malloc(SMALL);
    free(opaque(small));
    void *large = opaque(malloc(2 * CHUNKED));
    free(opaque(small));
    grab(2 * CHUNKED, large, 2 * CHUNKED);
    fails();
}
