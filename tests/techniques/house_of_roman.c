/*
 * house_of_roman: low bytes of links are overwritten, which needs no leak:
 * they lead to another place near by.
 */
#include "technique.h"

int main(void)
{
    void *live = malloc(CHUNKED);
    void *a = malloc(CHUNKED);
    malloc(CHUNKED);
    void *b = malloc(CHUNKED);
    malloc(CHUNKED);
    free(opaque(a));
    free_for_good(b);
    *(uint16_t *)opaque(a) = (uint16_t)(uintptr_t)chunk_of(live);
    *(uint16_t *)opaque(b) = (uint16_t)(uintptr_t)chunk_of(live);
    grab(CHUNKED, live, CHUNKED);
    fails();
}
