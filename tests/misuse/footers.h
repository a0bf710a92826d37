/*
 * footers.h - frees a block that has come to say that the one before it is
 * free, with a footer of the caller's choice in front of it.
 */
#ifndef PTM_TESTS_FOOTERS_H
#define PTM_TESTS_FOOTERS_H

#include "crime.h"

static inline int free_behind_footer(uint64_t footer)
{
    void *previous = malloc(24);
    void *block = malloc(24);

    use(malloc(24));
    *word_before(block) &= ~(uint64_t)PREV_INUSE;
    *footer_before(block) = footer;
    use(previous);
    free(suspect(block));
    return 0;
}

#endif
