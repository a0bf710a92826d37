/*
 * unsorted_bin_attack: taking a chunk out of its bin writes the bin's address
 * through the back link, which leads to a variable.
 */
#include "technique.h"

static uint64_t variable[8];

int main(void)
{
    void *a = malloc(CHUNKED);
    malloc(CHUNKED);
    free_for_good(a);
    uint64_t secret = link_secret(a, PREVIOUS, 0);
    forge_link(a, PREVIOUS, secret, &variable[2]);
    for (int i = 0; i < 40; i++) {
        malloc(CHUNKED);
    }
    for (int i = 0; i < 8; i++) {
        if (variable[i] != 0) {
            succeeds("a variable outside of the heap has changed");
        }
    }
    fails();
}
