/*
 * plugin.c - a library with blocks to give away.
 */
#include <dlfcn.h>
#include <stdlib.h>

void *make(void);
void destroy(void *block);
void *open_neighbour(const char *name);

void *make(void)
{
    return malloc(100);
}

void destroy(void *block)
{
    free(block);
}

/* By a bare name: it is found only where this library says, not the program. */
void *open_neighbour(const char *name)
{
    void *library = dlopen(name, RTLD_NOW);
    return library;
}
