/*
 * house_of_rabbit: the size of a freed small block is changed before the heap
 * merges, so that it takes a false chunk along.
 */
#include "technique.h"

int main(void)
{
    void *a = malloc(CHUNKED);
    void *live = malloc(CHUNKED);
    malloc(CHUNKED);
    free(opaque(a));
    forge_low(a, (size_of(a) + size_of(live)) | PREV_INUSE);
    settle();
    grab(2 * CHUNKED, live, CHUNKED);
    grab(CHUNKED, live, CHUNKED);
    fails();
}
