/*
 * house_of_orange: top is made smaller, so that the next large request closes
 * it and frees it, without any free by the program.
 */
#include "technique.h"

int main(void)
{
    char *top = find_top(malloc(CHUNKED));
    uint32_t before = size_of(top);
    forge_low(top, 0x1000 | PREV_INUSE | IS_FREE);
    for (int i = 0; i < PATIENCE; i++) {
        malloc(200000);
    }
    grab(0xf00, top, before);
    fails();
}
