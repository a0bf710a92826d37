/*
 * quarters.h - a quarter of a page of objects, 4 KiB, that goes back to the
 * kernel. The objects have 48 bytes.
 */
#ifndef PTM_TESTS_QUARTERS_H
#define PTM_TESTS_QUARTERS_H

#include "crime.h"

enum {
    MANY = 2000,
    OBJECT = 48,
    QUARTER = 4096,
    OBJECTS_OF_PAGE = 341,
};

/* A page all of whose objects are among these. */
static inline char *a_page_of(void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t there = 0;
        for (size_t j = 0; j < count; j++) {
            there += run_of(blocks[j]) == run_of(blocks[i]);
        }
        if (there == OBJECTS_OF_PAGE) {
            return run_of(blocks[i]);
        }
    }
    complain("no page is full\n");
    _exit(1);
}

/* With a part of it. */
static inline bool is_in_second_quarter(const char *block, const char *page)
{
    return block < page + 2 * QUARTER && block + OBJECT > page + QUARTER;
}

/* Of the second one: all others of the page stay in use. Returns the last
 * object that begins there. */
static inline void *free_all_of_a_quarter(void **blocks, size_t count,
                                          const char *page)
{
    char *last = NULL;
    for (size_t i = 0; i < count; i++) {
        char *block = blocks[i];
        if (is_in_second_quarter(block, page)) {
            last = block > last ? block : last;
            free(block);
        }
    }
    return last;
}

/* The kernel has had it. */
static inline void must_be_clean(void *block)
{
    const volatile uint64_t *words = opaque(block);
    if (words[0] != 0 || words[1] != 0) {
        complain("the quarter did not go back\n");
        _exit(1);
    }
}

#endif
