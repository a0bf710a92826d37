/*
 * own_malloc.c - linked with probe.c it makes a program that brings a malloc of
 * its own, a poor one: the four functions that ld.so looks for, and no other.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

void *malloc(size_t size);
void free(void *block);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
int posix_memalign(void **result, size_t alignment, size_t size);

enum { PAGE = 4096 };

void *malloc(size_t size)
{
    size_t length = size + PAGE;
    size_t *page = mmap(NULL, length, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return NULL;
    }
    page[0] = length;
    return (char *)page + PAGE;
}

void free(void *block)
{
    if (block != NULL) {
        size_t *page = (size_t *)((uintptr_t)block - PAGE);
        munmap(page, page[0]);
    }
}

void *calloc(size_t count, size_t size)
{
    return malloc(count * size);
}

void *realloc(void *block, size_t size)
{
    void *moved = malloc(size);
    if (moved != NULL && block != NULL) {
        size_t had = *(size_t *)((uintptr_t)block - PAGE) - PAGE;
        memcpy(moved, block, had < size ? had : size);
        free(block);
    }
    return moved;
}

/* Every block lies at the beginning of a page. */
int posix_memalign(void **result, size_t alignment, size_t size)
{
    (void)alignment;
    *result = malloc(size);
    return 0;
}
