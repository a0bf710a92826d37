/*
 * tcache_relative_write: a freed block's size leads to an entry beyond the end
 * of the cache's arrays, which free then writes.
 */
#include "technique.h"

int main(void)
{
    void *a = malloc(CHUNKED);
    void *b = malloc(SMALL);
    forge_low(a, 0x7fffff0 | PREV_INUSE);
    free(opaque(a));
    forge_low(b, 0x20000 | PREV_INUSE);
    free(opaque(b));
    grab(200000, b, SMALL);
    fails();
}
