/*
 * overlapping_chunks_2: the size of a live chunk is made larger before it is
 * freed.
 */
#include "technique.h"

int main(void)
{
    void *a = malloc(CHUNKED);
    void *live = malloc(CHUNKED);
    malloc(CHUNKED);
    forge_low(a, (size_of(a) + size_of(live)) | PREV_INUSE);
    free(opaque(a));
    grab(2 * CHUNKED, live, CHUNKED);
    fails();
}
