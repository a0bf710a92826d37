/*
 * house_of_lore: the back link of a chunk in a bin leads to a false chunk on
 * the stack, which links back.
 */
#include "technique.h"

int main(void)
{
    _Alignas(16) uint64_t stack[512] = {0};
    void *a = malloc(CHUNKED);
    malloc(CHUNKED);
    free_for_good(a);
    uint64_t secret = link_secret(a, PREVIOUS, 0);
    stack[1] = *size_word(a);
    forge_link(stack + 2, PREVIOUS, secret, chunk_of(a));
    forge_link(stack + 2, NEXT, secret, chunk_of(a));
    forge_link(a, NEXT, secret, stack);
    forge_link(a, PREVIOUS, secret, stack);
    grab(CHUNKED, stack, sizeof stack);
    fails();
}
