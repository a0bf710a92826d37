/*
 * arena_count.h - how many arenas malloc_info lists.
 */
#ifndef ARENA_COUNT_H
#define ARENA_COUNT_H

#include "trial.h"

#include <malloc.h>

static inline int arena_count(void)
{
    char *text = NULL;
    size_t length = 0;
    int arenas = 0;
    FILE *stream = open_memstream(&text, &length);

    MUST(stream != NULL);
    MUST(malloc_info(0, stream) == 0);
    MUST(fclose(stream) == 0);
    for (const char *at = text; (at = strstr(at, "<heap nr=")); at++)
        arenas++;
    free(text);
    MUST(arenas >= 1);
    return arenas;
}

#endif
