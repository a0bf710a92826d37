/*
 * sysmalloc_int_free: the same with a size that ends at a page's end, as the
 * true one does, and small requests that use the false top up.
 */
#include "technique.h"

int main(void)
{
    char *top = find_top(malloc(CHUNKED));
    uint32_t rest = (uint32_t)(-(uintptr_t)chunk_of(top) & 4095) + 4096;
    forge_low(top, rest | PREV_INUSE | IS_FREE);
    for (int i = 0; i < PATIENCE; i++) {
        malloc(CHUNKED);
    }
    fails();
}
