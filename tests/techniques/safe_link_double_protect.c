/*
 * safe_link_double_protect: a link is mangled twice, by the list's own
 * machinery, so that it needs no leak: one freed block's link is copied over
 * another's.
 */
#include "technique.h"

int main(void)
{
    void *blocks[12];
    for (int i = 0; i < 12; i++) {
        blocks[i] = malloc(CHUNKED);
    }
    for (int i = 0; i < 12; i += 2) {
        free(opaque(blocks[i]));
    }
    settle();
    *word_of(blocks[4], NEXT) = *word_of(blocks[6], NEXT);
    *word_of(blocks[4], PREVIOUS) = *word_of(blocks[6], PREVIOUS);
    *word_of(blocks[8], NEXT) =
        *word_of(blocks[6], NEXT) ^ (uintptr_t)blocks[3] >> 12;
    for (int i = 1; i < 12; i += 2) {
        grab(CHUNKED, blocks[i], CHUNKED);
    }
    fails();
}
