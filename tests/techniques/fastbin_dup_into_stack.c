/*
 * fastbin_dup_into_stack: a block is freed, its link is made to lead to the
 * stack, where a size is prepared, and it is freed once more behind another.
 */
#include "technique.h"

int main(void)
{
    _Alignas(16) uint64_t stack[32] = {0};
    void *a = malloc(SMALL);
    void *b = malloc(SMALL);
    stack[1] = *size_word(a);
    free(opaque(a));
    free(opaque(b));
    *word_of(a, 0) = (uintptr_t)stack;
    free(opaque(a));
    *word_of(a, 0) = (uintptr_t)(stack + 2);
    grab(SMALL, stack, sizeof stack);
    grab_twice(SMALL);
    fails();
}
