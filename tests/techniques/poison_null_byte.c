/*
 * poison_null_byte: one zero byte behind a block lands in the size word of the
 * next, and a footer forged before it makes it merge over a live block.
 */
#include "technique.h"

int main(void)
{
    void *a = malloc(CHUNKED);
    void *live = malloc(CHUNKED);
    void *c = malloc(CHUNKED);
    malloc(CHUNKED);
    free_for_good(a);
    *prev_size(c) = size_of(live) + size_of(a);
    *(unsigned char *)size_word(c) = 0;
    free_for_good(c);
    grab(3 * CHUNKED, live, CHUNKED);
    fails();
}
