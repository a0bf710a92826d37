/*
 * mmap_overlapping_chunks: the length of a mapped block is made larger, so
 * that its free unmaps the neighbour too.
 */
#include "technique.h"

int main(void)
{
    char *a = malloc(MAPPED);
    char *b = malloc(MAPPED);
    char *low = a < b ? a : b;
    char *high = a < b ? b : a;
    high[0] = 1;
    *prev_size(low) += *prev_size(high);
    free(opaque(low));
    grab(2 * MAPPED, high, MAPPED);
    fails();
}
