/*
 * The library of early_library.h.
 */
#include "early_library.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 1000 };

static void *block_of_constructor;
static void *block_of_destructor;
static int *destructor_is_done;

__attribute__((constructor)) static void construct(void)
{
    block_of_constructor = malloc(BLOCK_SIZE);
    if (block_of_constructor)
        memset(block_of_constructor, EARLY_LIBRARY_BYTE, BLOCK_SIZE);
}

__attribute__((destructor)) static void destruct(void)
{
    void *fresh = malloc(BLOCK_SIZE);

    free(block_of_destructor);
    free(fresh);
    if (destructor_is_done && fresh)
        *destructor_is_done = 1;
}

void *early_library_block(void)
{
    return block_of_constructor;
}

void early_library_free_at_end(void *block, int *done)
{
    block_of_destructor = block;
    destructor_is_done = done;
}
