/*
 * heap.h - one aligned, growing reservation of address space.
 *
 *     multiple of 64 MiB
 *     |
 *     | struct heap | chunks ...    | top or fence |  reserved   |
 *     0         HEAP_HEADER_SIZE    ^          committed       reserved
 *                                   touched: nothing behind it was written
 *
 * Masking any address in it finds the header, and that names the arena. All of
 * it may be read, so that a free of a wild pointer finds a bad seal and not a
 * fault; only the committed part may be written. Where 64 MiB of address space
 * are refused (RLIMIT_AS), less is reserved, still at a multiple of 64 MiB, and
 * the reservation grows in place when it can.
 *
 * A heap deals in bytes; what chunks are in it is the arena's affair. But it
 * has a byte for each 16 KiB that says whether a run is there, and of which
 * class: free asks it of every address, by way of its copy in tags.h. What is
 * known of the objects of its runs is in a table of its own mapping, made when
 * the first run is.
 *
 * Threads: whoever calls holds the lock of the heap's arena. heap_for_ptr and
 * heap_contains may be called without it for a pointer that is live.
 */
#ifndef PTM_HEAP_H
#define PTM_HEAP_H

#include <string.h>

#include "base.h"
#include "chunk.h"
#include "pages.h"
#include "run.h"

struct arena;

#define HEAP_PAGES (HEAP_MAX_SIZE / RUN_SIZE)

/* What became of a page of runs: see sweep.h. */
enum heap_given {
    GIVEN_NOTHING, /* no object since it was last swept */
    GIVEN_LATELY,  /* some */
    GIVEN_BEFORE,  /* ... but none since the sweep before */
};

struct heap {
    struct arena *arena;
    struct heap *next; /* in the arena's list, newest first */
    struct heap *previous;
    size_t reserved;  /* bytes from the heap's start */
    size_t committed; /* bytes from the heap's start; read without the lock */
    size_t touched;   /* bytes from the heap's start that may not be zero */
    struct run *runs; /* one for each 16 KiB; NULL: no run yet */
    size_t spans;     /* of runs, in it now */
    size_t runs_used; /* bytes of the table that may not be zero */
    struct span_of_pages hoped; /* advised to be huge pages; see huge.h */
    bool is_plain;              /* ... and all the rest advised against it */
    size_t tagged;    /* bytes from the heap's start whose pages have a tag */
    size_t unused[1]; /* fills a line */
    /* The class of the run there, counted from 1, or 0, for chunks, and
     * RUN_WATCHED. Read without the lock. The first page, which the header
     * fills, is WATCHED: so whoever finds 0 may read the word before mem. */
    uint8_t page_class[HEAP_PAGES];
    uint8_t page_given[HEAP_PAGES]; /* enum heap_given */
    struct pages pages;
};

#define HEAP_HEADER_SIZE sizeof(struct heap)
_Static_assert(HEAP_HEADER_SIZE % 64 == 0, "the first chunk is aligned");
_Static_assert(HEAP_HEADER_SIZE + 4 * MIN_CHUNK_SIZE <=
                   HEAP_MAX_SIZE - CHUNK_SIZE_MAX,
               "the largest chunk fits behind the header");
_Static_assert(RUN_CLASSES < 256, "a class of runs is a byte");
_Static_assert(HEAP_HEADER_SIZE >= RUN_SIZE, "no block is in the first page");

static inline struct heap *heap_for_ptr(const void *address)
{
    return (struct heap *)((uintptr_t)address & ~(HEAP_MAX_SIZE - 1));
}

static inline struct chunk *heap_first_chunk(const struct heap *heap)
{
    return chunk_at(heap, HEAP_HEADER_SIZE);
}

static inline size_t heap_committed(const struct heap *heap)
{
    return __atomic_load_n(&heap->committed, __ATOMIC_RELAXED);
}

/* A heap that reserved less than 64 MiB shares them with direct mappings. Who
 * frees such a mapping may look at the heap's header at any time; so that heap
 * is never unmapped. */
static inline bool heap_is_whole(const struct heap *heap)
{
    return heap->reserved == HEAP_MAX_SIZE;
}

/* One past the last byte that may be read. */
static inline struct chunk *heap_end(const struct heap *heap)
{
    return chunk_at(heap, heap_committed(heap));
}

/* Whether a chunk can begin at `chunk`, which is in this heap's 64 MiB. */
static inline bool heap_contains(const struct heap *heap,
                                 const struct chunk *chunk)
{
    size_t offset = (uintptr_t)chunk - (uintptr_t)heap;
    size_t committed = heap_committed(heap);
    return offset % MALLOC_ALIGNMENT == 0 && offset >= HEAP_HEADER_SIZE &&
           committed >= MIN_CHUNK_SIZE && offset <= committed - MIN_CHUNK_SIZE;
}

static inline void heap_note_touched(struct heap *heap, const void *end)
{
    size_t offset = (uintptr_t)end - (uintptr_t)heap;
    heap->touched = max_size(heap->touched, offset);
}

static inline size_t heap_place(const struct heap *heap, const void *address)
{
    return (uintptr_t)address - (uintptr_t)heap;
}

static inline void *heap_touched_end(const struct heap *heap)
{
    return (void *)((uintptr_t)heap + heap->touched);
}

/* A new heap of the arena with this number, with at least `need` bytes
 * committed behind its header, `wanted` if they can be had. NULL when
 * refused. Its owner tag is set. */
struct heap *heap_create(struct arena *arena, unsigned number, size_t need,
                         size_t wanted);

/* Commits `need` bytes more, `wanted` if they can be had; false when not even
 * the need can be met, and nothing has changed then. */
bool heap_grow(struct heap *heap, size_t need, size_t wanted);

/* Gives all memory from `end` on back to the kernel, rounded up to a page;
 * returns how many bytes that were. 0 when refused or when there are none. */
size_t heap_shrink(struct heap *heap, const void *end);

/* Returns address space and memory to the kernel. False when refused (the
 * limit of mappings): the heap is then as it was. */
bool heap_destroy(struct heap *heap);

/* Its arena has become common: so do its tags. */
void heap_make_common(struct heap *heap);

/* ---- runs ---------------------------------------------------------------- */

static inline size_t heap_page_of(const void *mem)
{
    return (uintptr_t)mem / RUN_SIZE % HEAP_PAGES;
}

/* The byte for the page that `mem`, an address behind a chunk's header in this
 * heap, lies in. */
static inline size_t heap_page_byte(const struct heap *heap, const void *mem)
{
    return __atomic_load_n(&heap->page_class[heap_page_of(mem)],
                           __ATOMIC_RELAXED);
}

/* The class of the run that `mem`, an address behind a chunk's header in this
 * heap, lies in; 0 when it is in none. */
static inline size_t heap_run_class(const struct heap *heap, const void *mem)
{
    size_t page_class = heap_page_byte(heap, mem) & ~(size_t)RUN_WATCHED;
    return page_class != 0 ? CHUNK_CLASSES - 1 + page_class : 0;
}

/* Frees of blocks that begin in this page take the slow way from now on, or no
 * more: one of them is in a profile. */
void heap_watch_page(struct heap *heap, const void *mem, bool watch);

/* An object in that page was given back to its run, or something was there
 * before it had runs. */
static inline void heap_note_given(struct heap *heap, const void *mem)
{
    heap->page_given[heap_page_of(mem)] = GIVEN_LATELY;
}

/* Pages from that of `mem` on, which hold no runs any more. */
static inline void heap_forget_given(struct heap *heap, const void *mem,
                                     size_t pages)
{
    memset(&heap->page_given[heap_page_of(mem)], GIVEN_NOTHING, pages);
}

/* The run that a live object is in. */
static inline struct run *heap_run_of(const void *mem)
{
    struct heap *heap = heap_for_ptr(mem);
    return __atomic_load_n(&heap->runs, __ATOMIC_RELAXED) + heap_page_of(mem);
}

/* The head of the first page, if a chunk of a heap is a span of runs; else
 * NULL. A fence has no mem: that may be in another heap, or nowhere. */
static inline struct run *heap_span_in(const struct chunk *chunk)
{
    const void *mem = chunk2mem(chunk);
    if (chunk_size(chunk) < RUN_SIZE || run_offset(mem) != 0 ||
        heap_for_ptr(mem)->runs == NULL) {
        return NULL;
    }
    struct run *first = heap_run_of(mem);
    return first->pages != 0 && first->start == mem ? first : NULL;
}

/* Makes the table of runs, if it is not there; false when refused. */
bool heap_prepare_runs(struct heap *heap);

/* A span of runs, up to this page, is in the heap now; or one is so no more. */
static inline void heap_note_span(struct heap *heap, size_t end_page)
{
    heap->spans++;
    heap->runs_used = max_size(heap->runs_used, end_page * sizeof(struct run));
}

static inline void heap_forget_span(struct heap *heap)
{
    heap->spans--;
}

/* Gives the memory of the table back if there is no span. What is read there
 * without the lock, of objects that are gone, is zero from then on. */
void heap_return_runs(struct heap *heap);

/* How many heaps there are in the process. */
size_t heap_count(void);

#endif
