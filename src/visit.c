#include "visit.h"

#include "arenas.h"
#include "guard.h"
#include "harden.h"
#include "mapped.h"
#include "zero.h"

/* Whether a chunk, which lies in the heap, is a block of the program's. */
static bool is_programs(const struct arena *arena, const struct heap *heap,
                        const struct chunk *chunk)
{
    uint32_t low = chunk_low(chunk);
    size_t room = (uintptr_t)heap_end(heap) - (uintptr_t)chunk;
    return low_is_plausible(low, arena->flags) && word_size(low) < room &&
           (low & CHUNK_IS_FREE) == 0 && chunk_is_sealed(chunk);
}

/* Whether this is an object of a run of that class that is the program's. */
static bool is_programs_object(unsigned size_class, const void *mem)
{
    return run_has_object_at(size_class, mem) && !object_is_marked(mem) &&
           !run_has_free(heap_run_of(mem), size_class, mem);
}

/* What malloc_usable_size tells of it. */
static size_t usable_size(const struct arena *arena, const struct chunk *chunk)
{
    return harden_covers(arena) ? harden_size_as_it_is(chunk)
                                : usable_size_of(chunk_size(chunk));
}

static bool heap_has_block(const struct arena *arena, const void *mem,
                           size_t *size)
{
    unsigned size_class = block_run_class(mem);
    if (size_class != 0) {
        *size = class_size(size_class);
        return is_programs_object(size_class, mem);
    }
    const struct chunk *chunk = mem2chunk(mem);
    bool is_block = is_programs(arena, heap_for_ptr(mem), chunk);
    *size = is_block ? usable_size(arena, chunk) : 0;
    return is_block;
}

bool visit_finds(const void *mem, size_t *size)
{
    *size = 0;
    if ((uintptr_t)mem % MALLOC_ALIGNMENT != 0) {
        return false;
    }
    if (guard_contains(mem)) {
        *size = guard_size_at(mem);
        return *size != 0;
    }
    if (zero_contains(mem)) {
        return zero_is_live(mem);
    }
    struct arena *arena = arenas_hold(mem);
    bool is_block = arenas_has(arena, mem)
                        ? heap_has_block(arena, mem, size)
                        : mapped_usable_size(mem2chunk(mem), size) == MAPPED_OK;
    arenas_let_go(arena);
    return is_block;
}

PTM_EXPORT size_t ptm_malloc_size(const void *memory)
{
    size_t size;
    return visit_finds(memory, &size) ? size : 0;
}

typedef int visitor(void *memory, size_t size, void *data);

static int visit_page(const struct run *run, visitor *visit, void *data)
{
    size_t size = class_size(run->size_class);
    int result = 0;
    for (unsigned i = 0; i < run->objects && result == 0; i++) {
        char *mem = run->start + i * size;
        if (is_programs_object(run->size_class, mem)) {
            result = visit(mem, size, data);
        }
    }
    return result;
}

static int visit_span(const struct run *first, visitor *visit, void *data)
{
    int result = 0;
    for (unsigned at = 0; at < first->pages && result == 0; at++) {
        result = visit_page(&first[at], visit, data);
    }
    return result;
}

static int visit_chunk(const struct arena *arena, const struct heap *heap,
                       struct chunk *chunk, visitor *visit, void *data)
{
    const struct run *first = heap_span_in(chunk);
    if (first != NULL) {
        return visit_span(first, visit, data);
    }
    return is_programs(arena, heap, chunk)
               ? visit(chunk2mem(chunk), usable_size(arena, chunk), data)
               : 0;
}

/* Ends at a size word that leads nowhere. */
static int visit_heap(const struct arena *arena, const struct heap *heap,
                      visitor *visit, void *data)
{
    struct chunk *chunk = heap_first_chunk(heap);
    int result = 0;
    while (chunk < heap_end(heap) && chunk_size(chunk) != 0 && result == 0) {
        result = visit_chunk(arena, heap, chunk, visit, data);
        chunk = chunk_next(chunk);
    }
    return result;
}

static int visit_arena(struct arena *arena, visitor *visit, void *data)
{
    int result = 0;
    if (!arena_acquire(arena)) {
        return 0;
    }
    for (struct heap *heap = arena->heaps; heap != NULL && result == 0;
         heap = heap->next) {
        result = visit_heap(arena, heap, visit, data);
    }
    arena_release(arena);
    return result;
}

PTM_EXPORT int ptm_visit(visitor *visit, void *data)
{
    int result = 0;
    for (unsigned number = 1; number <= arenas_count() && result == 0;
         number++) {
        result = visit_arena(arena_numbered(number), visit, data);
    }
    if (result == 0) {
        result = guard_visit(visit, data);
    }
    if (result == 0) {
        result = zero_visit(visit, data);
    }
    return result != 0 ? result : mapped_visit(visit, data);
}
