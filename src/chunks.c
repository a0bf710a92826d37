#include "chunks.h"

#include "fatal.h"
#include "huge.h"
#include "options.h"
#include "os.h"
#include "proof.h"

/* ---- heaps ----------------------------------------------------------- */

static void count_system_bytes(struct arena *arena, size_t added)
{
    arena->system_bytes += added;
    arena->max_system_bytes =
        max_size(arena->max_system_bytes, arena->system_bytes);
}

/* A free chunk that is in no bin yet gets its footer and its bin; the chunk
 * behind it learns that it is free. */
static void put_in_bin(struct arena *arena, struct chunk *chunk)
{
    chunk_set_footer(chunk);
    chunk_clear_prev_inuse(chunk_next(chunk));
    bins_insert(&arena->bins, chunk);
    if (chunk_size(chunk) >= LARGE_FREE_MIN) {
        struct heap *heap = heap_for_ptr(chunk);
        pages_add_chunk(&heap->pages, heap_place(heap, chunk));
    }
}

static void note_out_of_bin(const struct chunk *chunk)
{
    if (chunk_size(chunk) >= LARGE_FREE_MIN) {
        struct heap *heap = heap_for_ptr(chunk);
        pages_remove_chunk(&heap->pages, heap_place(heap, chunk));
    }
}

static void take_out_of_bin(struct arena *arena, struct chunk *chunk)
{
    bins_remove(&arena->bins, chunk);
    note_out_of_bin(chunk);
}

/* Top ends where its heap does; a closed heap ends with a fence. What top has
 * besides the fence becomes a free chunk. */
static void close_top(struct arena *arena)
{
    struct chunk *top = arena->top;
    struct heap *heap = heap_for_ptr(top);
    size_t size = chunk_size(top);
    size_t fence_size = CHUNK_HEADER_SIZE;
    if (size - fence_size < MIN_CHUNK_SIZE) {
        fence_size = size;
    }
    heap->touched = heap->committed;
    arena->top = NULL;
    if (fence_size == size) {
        /* Large enough to be a block, which it is not: nobody may free it. */
        chunk_mark_inuse(top);
        chunk_flip_cached(top);
        return;
    }
    chunk_set_head(chunk_at(top, size - fence_size), fence_size, arena->flags);
    chunk_resize(top, size - fence_size);
    put_in_bin(arena, top);
}

static bool is_fence(const struct heap *heap, const struct chunk *chunk)
{
    return !chunk_is_free(chunk) && chunk_next(chunk) == heap_end(heap);
}

static void link_heap(struct arena *arena, struct heap *heap)
{
    heap->next = arena->heaps;
    if (arena->heaps != NULL) {
        arena->heaps->previous = heap;
    }
    arena->heaps = heap;
    arena->heap_count++;
}

/* Who stands at the heap moves on. */
static void unlink_heap(struct arena *arena, const struct heap *heap)
{
    for (int kind = 0; kind < SWEEP_KINDS; kind++) {
        struct sweep *sweep = &arena->sweeps.of[kind];
        if (sweep->heap == heap) {
            sweep->heap = heap->next;
            sweep->page = 0;
            sweep->place = 0;
        }
    }
    if (heap->next != NULL) {
        heap->next->previous = heap->previous;
    }
    if (heap->previous != NULL) {
        heap->previous->next = heap->next;
    } else {
        arena->heaps = heap->next;
    }
    arena->heap_count--;
}

/* Where it was. */
static void relink_heap(struct arena *arena, struct heap *heap)
{
    if (heap->next != NULL) {
        heap->next->previous = heap;
    }
    if (heap->previous != NULL) {
        heap->previous->next = heap;
    } else {
        arena->heaps = heap;
    }
    arena->heap_count++;
}

/* A huge page needs all of its region to be committed. */
static bool may_want_huge_pages(const struct arena *arena)
{
    return arena->max_system_bytes >= HUGE_AGAIN_FROM && huge_is_wanted();
}

/* How much to ask the kernel for, from this place of a heap on, beyond what is
 * needed: system calls become rarer as the arena grows. */
static size_t growth(const struct arena *arena, size_t place, size_t need)
{
    size_t step =
        max_size(HEAP_GROW_MIN, arena->system_bytes / HEAP_GROW_SHARE);
    size_t bytes = max_size(need, step) +
                   min_size(option_get(OPTION_TOP_PAD), HEAP_MAX_SIZE);
    return may_want_huge_pages(arena)
               ? round_up(place + bytes, HUGE_PAGE_SIZE) - place
               : bytes;
}

/* How many bytes more the arena may have; whole pages. */
static size_t allowance(const struct arena *arena)
{
    if (likely(arena->limit == 0)) {
        return SIZE_MAX;
    }
    size_t left = arena->limit - min_size(arena->limit, arena->system_bytes);
    return round_down(left, os_page_size());
}

static bool grow_top(struct arena *arena, size_t size)
{
    struct heap *heap = heap_for_ptr(arena->top);
    size_t need = size - chunk_size(arena->top);
    size_t before = heap->committed;
    size_t most = allowance(arena);
    if (need > most ||
        !heap_grow(heap, need, min_size(growth(arena, before, need), most))) {
        return false;
    }
    size_t added = heap->committed - before;
    chunk_resize(arena->top, chunk_size(arena->top) + added);
    count_system_bytes(arena, added);
    return true;
}

void chunks_adopt_heap(struct arena *arena, struct heap *heap)
{
    if (arena->top != NULL) {
        close_top(arena);
    }
    link_heap(arena, heap);
    count_system_bytes(arena, heap->committed);
    struct chunk *top = heap_first_chunk(heap);
    chunk_set_head(top, heap->committed - HEAP_HEADER_SIZE,
                   arena->flags | CHUNK_IS_FREE | CHUNK_PREV_INUSE);
    heap_note_touched(heap, chunk2mem(top));
    arena->top = top;
}

static bool add_heap(struct arena *arena, size_t size)
{
    if (size > CHUNK_SIZE_MAX) {
        return false;
    }
    size_t most = allowance(arena);
    if (size + HEAP_HEADER_SIZE > most) {
        return false;
    }
    struct heap *heap = heap_create(arena, arena->number, size,
                                    min_size(growth(arena, 0, size), most));
    if (heap == NULL) {
        return false;
    }
    chunks_adopt_heap(arena, heap);
    return true;
}

/* Makes top hold `size` bytes. */
static bool ensure_top(struct arena *arena, size_t size)
{
    if (arena->top != NULL) {
        chunk_verify_top(arena);
    }
    if (arena->top != NULL &&
        (chunk_size(arena->top) >= size || grow_top(arena, size))) {
        return true;
    }
    return add_heap(arena, size);
}

bool arena_has_empty_heap(const struct chunk *chunk)
{
    const struct heap *heap = heap_for_ptr(chunk);
    return chunk == heap_first_chunk(heap) &&
           is_fence(heap, chunk_next(chunk)) && heap_is_whole(heap);
}

bool arena_release_heap(struct arena *arena, struct chunk *chunk)
{
    struct heap *heap = heap_for_ptr(chunk);
    size_t committed = heap->committed;
    ptm_assert(arena_has_empty_heap(chunk));
    take_out_of_bin(arena, chunk);
    unlink_heap(arena, heap);
    if (!heap_destroy(heap)) {
        relink_heap(arena, heap);
        put_in_bin(arena, chunk);
        return false;
    }
    arena->system_bytes -= committed;
    return true;
}

/* ---- taking ---------------------------------------------------------- */

/* Cuts `chunk`, in no bin, down to `size`, and gives the remainder, if it can
 * be a chunk, to the bins. The chunk behind is in use. The header of the rest
 * is there before the chunk leads to it, here and wherever chunks are cut: who
 * looks at a process that was stopped in between finds the heap whole. */
static void split_off_free(struct arena *arena, struct chunk *chunk,
                           size_t size)
{
    size_t remainder = chunk_size(chunk) - size;
    if (remainder < MIN_CHUNK_SIZE) {
        chunk_set_prev_inuse(chunk_next(chunk));
        return;
    }
    struct chunk *rest = chunk_at(chunk, size);
    chunk_set_head(rest, remainder,
                   arena->flags | CHUNK_IS_FREE | CHUNK_PREV_INUSE);
    chunk_resize(chunk, size);
    put_in_bin(arena, rest);
}

void arena_note_freed(struct arena *arena, size_t bytes)
{
    size_t freed = arena->sweeps.freed + bytes;
    __atomic_store_n(&arena->sweeps.freed, freed, __ATOMIC_RELAXED);
}

/* Of the last huge page only a part is used, which is little beside what the
 * arena has, or beside what it has had. What has swung before is likely to end
 * where it did, until it has outgrown that. */
static bool is_large_enough(const struct arena *arena)
{
    size_t live = arena_live_bytes(arena);
    size_t most = arena->sweeps.live_most;
    if (live >= most + most / HUGE_OUTGROWN_SHARE) {
        return live >= HUGE_FROM;
    }
    return live >= HUGE_AGAIN_FROM && live + 2 * HUGE_PAGE_SIZE <= most;
}

static PTM_NOINLINE void
expect_huge_pages(struct arena *arena, const struct chunk *chunk, size_t size)
{
    struct heap *heap = heap_for_ptr(chunk);
    size_t from = heap_place(heap, chunk);
    if (heap_is_whole(heap) && is_large_enough(arena) && huge_is_wanted()) {
        arena_note_freed(arena, huge_expect(heap, from, from + size,
                                            from + chunk_size(chunk)));
    }
}

/* The first `size` bytes of a free chunk, or of top, are being taken. */
static void note_advance(struct arena *arena, const struct chunk *chunk,
                         size_t size)
{
    size_t place = heap_place(heap_for_ptr(chunk), chunk);
    if (unlikely(huge_is_reached(place, place + size))) {
        expect_huge_pages(arena, chunk, size);
    }
}

/* Takes the first `size` bytes of top, which has at least MIN_CHUNK_SIZE
 * more. */
static struct chunk *carve_top(struct arena *arena, size_t size)
{
    struct chunk *chunk = arena->top;
    struct heap *heap = heap_for_ptr(chunk);
    size_t remainder = chunk_size(chunk) - size;
    struct chunk *top = chunk_at(chunk, size);
    ptm_assert(remainder >= MIN_CHUNK_SIZE);
    arena->zero_from = heap_touched_end(heap);
    note_advance(arena, chunk, size);
    chunk_set_head(top, remainder,
                   arena->flags | CHUNK_IS_FREE | CHUNK_PREV_INUSE);
    chunk_resize(chunk, size);
    chunk_mark_inuse(chunk);
    heap_note_touched(heap, chunk2mem(top));
    arena->top = top;
    return chunk;
}

/* Where the first `size` bytes of a free chunk, which is in no bin, are zero
 * to their end. Only whole pages inside of the chunk are known. */
static void note_zeroes(struct arena *arena, const struct chunk *chunk,
                        size_t size)
{
    const struct heap *heap = heap_for_ptr(chunk);
    size_t place = heap_place(heap, chunk);
    size_t end = place + size + sizeof(size_t);
    struct span_of_pages span = {
        .from = round_up(place + MIN_CHUNK_SIZE, PAGES_SIZE),
        .to = round_up(end, PAGES_SIZE),
    };
    arena->zero_from = NULL;
    if (span.from >= span.to || span.to > place + chunk_size(chunk)) {
        return;
    }
    size_t from = pages_clean_from(&heap->pages, span);
    if (from < end) {
        arena->zero_from = (const char *)heap + from;
    }
}

struct chunk *chunks_take_many(struct arena *arena, size_t size, size_t most)
{
    struct chunk *chunk = bins_take(&arena->bins, size);
    if (chunk != NULL) {
        note_out_of_bin(chunk);
        note_zeroes(arena, chunk, size);
        if (most > 1) {
            size *= min_size(chunk_size(chunk) / size, most);
        }
        note_advance(arena, chunk, size);
        split_off_free(arena, chunk, size);
        chunk_mark_inuse(chunk);
    }
    return chunk;
}

struct chunk *chunks_take(struct arena *arena, size_t size)
{
    return chunks_take_many(arena, size, 1);
}

struct chunk *chunks_take_many_from_top(struct arena *arena, size_t size,
                                        size_t most)
{
    size_t room = arena_top_size(arena);
    if (room < size + MIN_CHUNK_SIZE) {
        return NULL;
    }
    chunk_verify_top(arena);
    return carve_top(arena,
                     size * min_size((room - MIN_CHUNK_SIZE) / size, most));
}

struct chunk *chunks_take_from_top(struct arena *arena, size_t size)
{
    return ensure_top(arena, size + MIN_CHUNK_SIZE) ? carve_top(arena, size)
                                                    : NULL;
}

/* From the last one on, which also gets what is too little for a chunk: so all
 * that lies before is one chunk in use until it is cut itself. */
size_t chunk_cut_up(struct arena *arena, struct chunk *chunk, size_t size,
                    void **mems)
{
    size_t end = chunk_size(chunk);
    size_t count = max_size(end / size, 1);
    for (size_t i = count; i-- > 0;) {
        struct chunk *part = chunk_at(chunk, i * size);
        chunk_set_head(part, end - i * size, arena->flags | CHUNK_PREV_INUSE);
        chunk_flip_cached(part);
        mems[i] = chunk2mem(part);
        end = i * size;
    }
    return count;
}

/* ---- giving back ----------------------------------------------------- */

size_t arena_trim_top(struct arena *arena, size_t pad)
{
    if (arena->top == NULL || pad >= chunk_size(arena->top) - MIN_CHUNK_SIZE) {
        return 0;
    }
    struct heap *heap = heap_for_ptr(arena->top);
    size_t released =
        heap_shrink(heap, (char *)arena->top + MIN_CHUNK_SIZE + pad);
    chunk_resize(arena->top, chunk_size(arena->top) - released);
    arena->system_bytes -= released;
    return released;
}

/* The bytes [from, to) of a chunk, and what is behind it, were written to. */
static void note_freed(const struct chunk *chunk, size_t from, size_t to)
{
    struct heap *heap = heap_for_ptr(chunk);
    size_t place = heap_place(heap, chunk);
    pages_note_freed(&heap->pages, place + from, place + to);
}

/* The free chunk before this one, which is in no bin any more; or this one. */
static struct chunk *take_previous(struct arena *arena, struct chunk *chunk)
{
    if (chunk_prev_inuse(chunk)) {
        return chunk;
    }
    struct chunk *previous = chunk_verified_previous(arena, chunk);
    take_out_of_bin(arena, previous);
    return previous;
}

/* What is behind the chunk may be merged with it: its header and its links are
 * garbage then. The chunk is F, and has `size` bytes, whatever its word says.
 */
static void free_marked(struct arena *arena, struct chunk *chunk, size_t size)
{
    arena_note_freed(arena, size);
    note_freed(chunk, 0, size + MIN_CHUNK_SIZE);
    struct chunk *next = chunk_at(chunk, size);
    struct chunk *start = take_previous(arena, chunk);
    size_t all = size + ((uintptr_t)chunk - (uintptr_t)start);
    if (next == arena->top) {
        chunk_resize(start, all + chunk_size(next));
        arena->top = start;
        return;
    }
    if (chunk_is_free(next)) {
        take_out_of_bin(arena, next);
        all += chunk_size(next);
    }
    if (all != chunk_size(start)) {
        chunk_resize(start, all);
    }
    put_in_bin(arena, start);
}

/* The header of a chunk that is merged into the one before keeps F, so that
 * a second free of it is recognised until its memory is used again. */
void _int_free(struct arena *arena, struct chunk *chunk)
{
    size_t size = chunk_size(chunk);
    chunk_mark_free(chunk);
    free_marked(arena, chunk, size);
}

void _int_free_row(struct arena *arena, struct chunk *first,
                   const struct chunk *end)
{
    for (struct chunk *chunk = first; chunk != end; chunk = chunk_next(chunk)) {
        chunk_mark_free(chunk);
    }
    free_marked(arena, first, (uintptr_t)end - (uintptr_t)first);
}

/* ---- cutting chunks in use -------------------------------------------- */

/* Cuts a chunk in use in two, both in use, the first of `size` bytes. */
static struct chunk *split_in_use(struct arena *arena, struct chunk *chunk,
                                  size_t size)
{
    size_t remainder = chunk_size(chunk) - size;
    struct chunk *rest = chunk_at(chunk, size);
    chunk_set_head(rest, remainder, arena->flags | CHUNK_PREV_INUSE);
    chunk_resize(chunk, size);
    return rest;
}

static void free_surplus(struct arena *arena, struct chunk *chunk, size_t size)
{
    if (chunk_size(chunk) - size >= MIN_CHUNK_SIZE) {
        _int_free(arena, split_in_use(arena, chunk, size));
    }
}

struct chunk *chunk_cut_aligned(struct arena *arena, struct chunk *chunk,
                                size_t alignment, size_t size)
{
    uintptr_t mem = (uintptr_t)chunk2mem(chunk);
    uintptr_t aligned = round_up(mem, alignment);
    if (aligned != mem) {
        /* What lies before must be able to be a chunk. */
        if (aligned - mem < MIN_CHUNK_SIZE) {
            aligned += alignment;
        }
        struct chunk *front = chunk;
        chunk = split_in_use(arena, front, aligned - mem);
        _int_free(arena, front);
    }
    free_surplus(arena, chunk, size);
    return chunk;
}

/* ---- spans ------------------------------------------------------------- */

/* How far behind `chunk` one begins whose mem is at a multiple of RUN_SIZE, and
 * before which there is either nothing or room for a chunk. */
static size_t way_to_span(const struct chunk *chunk)
{
    uintptr_t mem = (uintptr_t)chunk2mem(chunk);
    size_t way = round_up(mem, RUN_SIZE) - mem;
    return way == 0 || way >= MIN_CHUNK_SIZE ? way : way + RUN_SIZE;
}

/* Out of a free chunk that is in no bin, and has room. What is left goes back,
 * and nothing of it counts as written to. */
static struct chunk *cut_span(struct arena *arena, struct chunk *chunk,
                              size_t size)
{
    size_t way = way_to_span(chunk);
    note_out_of_bin(chunk);
    note_advance(arena, chunk, way + size);
    split_off_free(arena, chunk, way + size);
    if (way == 0) {
        chunk_mark_inuse(chunk);
        return chunk;
    }
    struct chunk *span = chunk_at(chunk, way);
    chunk_set_head(span, chunk_size(chunk) - way, arena->flags);
    chunk_resize(chunk, way);
    put_in_bin(arena, chunk);
    return span;
}

struct chunk *chunks_take_span(struct arena *arena, size_t size)
{
    struct chunk *chunk = bins_take_aligned(&arena->bins, size, RUN_SIZE);
    return chunk != NULL ? cut_span(arena, chunk, size) : NULL;
}

struct chunk *chunks_carve_span(struct arena *arena, size_t size)
{
    chunk_verify_top(arena);
    size_t way = way_to_span(arena->top);
    struct chunk *chunk = carve_top(arena, way + size);
    if (way == 0) {
        return chunk;
    }
    struct chunk *span = split_in_use(arena, chunk, way);
    _int_free(arena, chunk);
    return span;
}

/* ---- resizing ---------------------------------------------------------- */

static bool grow_into_top(struct arena *arena, struct chunk *chunk, size_t size,
                          size_t wanted)
{
    size_t had = chunk_size(chunk);
    if (chunk_size(arena->top) < wanted - had + MIN_CHUNK_SIZE &&
        !grow_top(arena, wanted - had + MIN_CHUNK_SIZE)) {
        wanted = size;
    }
    if (chunk_size(arena->top) < wanted - had + MIN_CHUNK_SIZE &&
        !grow_top(arena, wanted - had + MIN_CHUNK_SIZE)) {
        return false;
    }
    /* A header in the midst of a block stays F, as a second free of what was
     * there must find. */
    chunk_mark_free(carve_top(arena, wanted - had));
    chunk_resize(chunk, wanted);
    return true;
}

static bool grow_into_free(struct arena *arena, struct chunk *chunk,
                           struct chunk *next, size_t size, size_t wanted)
{
    size_t both = chunk_size(chunk) + chunk_size(next);
    if (both < size) {
        return false;
    }
    take_out_of_bin(arena, next);
    chunk_resize(chunk, both);
    split_off_free(arena, chunk, min_size(both, wanted));
    return true;
}

bool _int_resize(struct arena *arena, struct chunk *chunk, size_t size,
                 size_t wanted)
{
    ptm_assert(wanted >= size);
    if (chunk_size(chunk) >= size) {
        free_surplus(arena, chunk, size);
        return true;
    }
    struct chunk *next = chunk_next(chunk);
    if (next == arena->top) {
        return grow_into_top(arena, chunk, size, wanted);
    }
    return chunk_is_free(next) &&
           grow_into_free(arena, chunk, next, size, wanted);
}
