/*
 * decrypt_safe_linking: a mangled link is read, and what mangles it is worked
 * out from it. Here: whether a freed block holds an address of the heap, plain
 * or shifted over itself.
 */
#include "technique.h"

static uint64_t decrypt(uint64_t mangled)
{
    uint64_t plain = mangled;
    for (int i = 0; i < 6; i++) {
        plain = mangled ^ plain >> 12;
    }
    return plain;
}

static void look_at(void *freed, void *heap)
{
    for (size_t i = 0; i < 4; i++) {
        uint64_t word = *word_of(freed, i);
        if (word >> 26 == (uintptr_t)heap >> 26 ||
            decrypt(word) >> 26 == (uintptr_t)heap >> 26) {
            succeeds("a freed block tells where the heap is");
        }
    }
}

int main(void)
{
    void *a = calloc(1, CHUNKED);
    malloc(CHUNKED);
    void *b = calloc(1, CHUNKED);
    malloc(CHUNKED);
    free(opaque(a));
    look_at(a, b);
    free(opaque(b));
    look_at(b, a);
    settle();
    look_at(a, b);
    look_at(b, a);
    fails();
}
