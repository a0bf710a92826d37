/*
 * pages.h - which pages of a heap hold garbage, and which are known to be zero.
 *
 * A part of the heap's header, so outside of all chunks. The heap is cut into
 * pages of 4 KiB, whatever the kernel's are; 64 of them make a group, whose
 * bits are a word of each kind:
 *
 *     marks[group]    | dirty | recent |                      256 KiB of heap
 *     begins[group]   | begins |
 *     start[page]     a byte
 *
 *     dirty    the page was in use, and has not been given back since
 *     recent   ... and something in it was freed since pages_age
 *     begins   a large free chunk has its header here, at start * 16
 *
 * Each free looks at the marks: they lie close together, and are written only
 * when they change.
 *
 * Invariants, for every free chunk, top included:
 *
 *   1. a page between its links and its end whose `dirty` is clear reads as
 *      zero, and has no memory behind it;
 *   2. it is in `begins` if it is large and in a bin.
 *
 * Nothing is written down while a block is in use: it makes its pages dirty
 * when it is freed, up to and with the prev_size behind it, which is the end
 * of the block. What a free chunk itself writes inside of a clean page is a
 * header, and its page becomes dirty when the chunk is merged into the one
 * before. So to split a chunk costs nothing, and merging it again one page.
 *
 * Time is one bit. What is dirty and not recent was freed before the last
 * pages_age; a sweep (sweep.h) gives that back, and then ages the rest.
 *
 * Places are in bytes from the heap's start. Threads: whoever calls holds the
 * lock of the heap's arena.
 */
#ifndef PTM_PAGES_H
#define PTM_PAGES_H

#include "base.h"
#include "chunk.h"

enum {
    PAGES_SHIFT = 12,
    PAGES_OF_GROUP = 64,
    PAGES_GROUPS = 1 << (HEAP_MAX_SHIFT - PAGES_SHIFT - 6),
};

#define PAGES_SIZE ((size_t)1 << PAGES_SHIFT)

/* The least large chunk: no two of them begin in one page. A smaller one has
 * no whole page between its links and its end. */
#define LARGE_FREE_MIN (PAGES_SIZE + MIN_CHUNK_SIZE)

struct page_marks {
    uint64_t dirty;
    uint64_t recent;
};

struct pages {
    /* The last one is for who marks a little too much. */
    struct page_marks marks[PAGES_GROUPS + 1];
    uint64_t begins[PAGES_GROUPS];
    uint8_t start[PAGES_GROUPS * PAGES_OF_GROUP];
};

_Static_assert(PAGES_SIZE / MALLOC_ALIGNMENT <= 256, "a start is a byte");

/* Bytes of a heap; empty when from == to. */
struct span_of_pages {
    size_t from;
    size_t to;
};

/* The same for what lies in more than one group. */
void pages_note_freed_widely(struct pages *pages, size_t from, size_t to);

/* [from, to), not empty, was written to, and is free now. It may end behind the
 * heap, by less than a page. */
static inline void pages_note_freed(struct pages *pages, size_t from, size_t to)
{
    size_t first = from >> PAGES_SHIFT;
    size_t last = (to - 1) >> PAGES_SHIFT;
    if (unlikely(first / PAGES_OF_GROUP != last / PAGES_OF_GROUP)) {
        pages_note_freed_widely(pages, from, to);
        return;
    }
    struct page_marks *marks = &pages->marks[first / PAGES_OF_GROUP];
    uint64_t mask = ~(uint64_t)0 >> (PAGES_OF_GROUP - 1 - (last - first));
    mask <<= first % PAGES_OF_GROUP;
    if ((marks->dirty & marks->recent & mask) != mask) {
        marks->dirty |= mask;
        marks->recent |= mask;
    }
}

/* A large chunk goes to a bin, or leaves it. */
static inline void pages_add_chunk(struct pages *pages, size_t place)
{
    size_t page = place >> PAGES_SHIFT;
    pages->begins[page / PAGES_OF_GROUP] |= (uint64_t)1
                                            << page % PAGES_OF_GROUP;
    pages->start[page] = (uint8_t)(place % PAGES_SIZE / MALLOC_ALIGNMENT);
}

static inline void pages_remove_chunk(struct pages *pages, size_t place)
{
    size_t page = place >> PAGES_SHIFT;
    pages->begins[page / PAGES_OF_GROUP] &=
        ~((uint64_t)1 << page % PAGES_OF_GROUP);
}

/* The kernel has these pages back: whole ones, and they are zero. */
void pages_note_returned(struct pages *pages, struct span_of_pages span);

/* What is recent is so no more, before this place. */
void pages_age(struct pages *pages, size_t end);

/* Where the first large chunk in a bin begins that has its header in a page
 * from `place` on, before `end`; 0: there is none. */
size_t pages_next_chunk(const struct pages *pages, size_t place, size_t end);

/* The first dirty pages in a span of whole pages, as many as follow each
 * other; those that are recent count only if `with_recent`. */
struct span_of_pages pages_next_dirty(const struct pages *pages,
                                      struct span_of_pages span,
                                      bool with_recent);

/* How many of a span's pages are dirty. */
size_t pages_count_dirty(const struct pages *pages, struct span_of_pages span);

/* The least place in a span of whole pages from which on all is clean;
 * span.to, if nothing is. */
size_t pages_clean_from(const struct pages *pages, struct span_of_pages span);

#endif
