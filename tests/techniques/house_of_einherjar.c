/*
 * house_of_einherjar: the flag that says that the chunk before is in use is
 * cleared, and a footer leads to a false free chunk on the stack.
 */
#include "technique.h"

int main(void)
{
    _Alignas(16) static uint64_t region[1024];
    malloc(CHUNKED);
    void *b = malloc(CHUNKED);
    malloc(CHUNKED);
    uint64_t distance = (uintptr_t)chunk_of(b) - (uintptr_t)region;
    region[1] =
        *size_word(b) >> 32 << 32 | (uint32_t)distance | PREV_INUSE | IS_FREE;
    region[2] = region[3] = (uintptr_t)region;
    *prev_size(b) = distance;
    forge_low(b, low_of(b) & ~(uint32_t)PREV_INUSE);
    free_for_good(b);
    grab(2 * CHUNKED, region, sizeof region);
    fails();
}
