/*
 * free, by a thread of another arena, of an address a few bytes behind the
 * start of a heap: what would be its size word begins before the heap.
 *
 * expect: ptm: free(): misaligned pointer: address ADDR
 */
#define _GNU_SOURCE
#include "crime.h"

static void *free_it(void *address)
{
    free(opaque(malloc(24)));
    free(address);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    void *block = malloc(24);
    char *heap = (char *)((uintptr_t)block / HEAP_SIZE * HEAP_SIZE);
    long page = sysconf(_SC_PAGESIZE);

    /* Nobody may read there: it has no mapping, or this one. */
    mmap(heap - page, (size_t)page, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    pthread_create(&thread, NULL, free_it, suspect(heap + 3));
    pthread_join(thread, NULL);
    return 0;
}
