/*
 * house_of_spirit: free of a false block on the stack, behind which a second
 * header satisfies whoever looks there.
 */
#include "technique.h"

int main(void)
{
    _Alignas(16) static uint64_t region[64];
    void *real = malloc(SMALL);
    region[1] = *size_word(real);
    region[1 + size_of(real) / 8] = *size_word(real);
    free(opaque(&region[2]));
    grab(SMALL, region, sizeof region);
    fails();
}
