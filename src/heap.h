/*
 * heap.h - one aligned, growing reservation of address space.
 *
 *     multiple of 64 MiB
 *     |
 *     | struct heap | chunks ... | top or fence |  reserved   |
 *     0             64                     committed       reserved  (<= 64
 * MiB) ^ touched: nothing behind it was written
 *
 * Masking any address in it finds the header, and that names the arena. All of
 * it may be read, so that a free of a wild pointer finds a bad seal and not a
 * fault; only the committed part may be written. Where 64 MiB of address space
 * are refused (RLIMIT_AS), less is reserved, still at a multiple of 64 MiB, and
 * the reservation grows in place when it can.
 *
 * A heap deals in bytes; what chunks are in it is the arena's affair.
 *
 * Threads: whoever calls holds the lock of the heap's arena. heap_for_ptr and
 * heap_contains may be called without it for a pointer that is live.
 */
#ifndef PTM_HEAP_H
#define PTM_HEAP_H

#include "base.h"
#include "chunk.h"

struct arena;

struct heap {
    struct arena *arena;
    struct heap *next; /* in the arena's list, newest first */
    struct heap *previous;
    size_t reserved;  /* bytes from the heap's start */
    size_t committed; /* bytes from the heap's start; read without the lock */
    size_t touched;   /* bytes from the heap's start that may not be zero */
};

#define HEAP_HEADER_SIZE ((size_t)64)
_Static_assert(sizeof(struct heap) <= HEAP_HEADER_SIZE, "the header fits");

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

/* How many heaps there are in the process. */
size_t heap_count(void);

#endif
