/*
 * tcache_house_of_spirit: the same inside of a live block, so that the address
 * is the heap's own: the header comes from a real block of the size.
 */
#include "technique.h"

int main(void)
{
    void *real = malloc(CHUNKED);
    void *host = malloc(4 * CHUNKED);
    void *inside = (char *)host + 64;
    *size_word(inside) = *size_word(real);
    free(opaque(inside));
    grab(CHUNKED, host, 4 * CHUNKED);
    fails();
}
