/*
 * overlapping_chunks: the size of a freed chunk is made larger, so that the
 * next one to get it also gets its neighbour.
 */
#include "technique.h"

int main(void)
{
    void *a = malloc(CHUNKED);
    void *live = malloc(CHUNKED);
    malloc(CHUNKED);
    free_for_good(a);
    forge_low(a, (size_of(a) + size_of(live)) | PREV_INUSE | IS_FREE);
    grab(2 * CHUNKED, live, CHUNKED);
    grab(CHUNKED, live, CHUNKED);
    fails();
}
