#include "arena.h"

#include "fatal.h"
#include "options.h"
#include "os.h"
#include "owner.h"

void arena_initialise(struct arena *arena, unsigned number, unsigned flags)
{
    arena->number = number;
    arena->flags = flags;
    arena->bins.owner = number;
}

/* ---- crimes ---------------------------------------------------------- */

_Noreturn PTM_COLD static void die(const struct arena *arena,
                                   const struct chunk *chunk, const char *where,
                                   const char *what)
{
    fatal_crime(&(struct crime){
        .where = where,
        .what = what,
        .address = chunk2mem(chunk),
        .size = usable_size_of(chunk_size(chunk)),
        .arena = arena->number,
    });
}

_Noreturn PTM_COLD static void die_of_word(const struct arena *arena,
                                           const struct chunk *chunk,
                                           const char *where)
{
    fatal_crime(&(struct crime){
        .where = where,
        .what = "destroyed size word",
        .address = chunk2mem(chunk),
        .word = chunk_word(chunk),
        .has_word = true,
        .arena = arena->number,
    });
}

_Noreturn PTM_COLD static void die_of_freed(const struct arena *arena,
                                            const struct chunk *chunk,
                                            const char *where)
{
    bool again = where == where_free;
    die(arena, chunk, where, again ? "double free" : "use of a freed block");
}

/* The class is that of the object; nothing may be there any more. */
_Noreturn PTM_COLD static void die_of_object(const struct arena *arena,
                                             unsigned size_class,
                                             const void *mem, const char *where,
                                             const char *what)
{
    fatal_crime(&(struct crime){
        .where = where,
        .what = what,
        .address = mem,
        .size = class_size(size_class),
        .arena = arena->number,
    });
}

/* Whether a chunk with this low half can be here in the arena. */
static bool low_fits(const struct arena *arena, const struct chunk *chunk,
                     uint32_t low)
{
    const struct heap *heap = heap_for_ptr(chunk);
    size_t offset = (uintptr_t)chunk - (uintptr_t)heap;
    return low_is_plausible(low, arena->flags) &&
           word_size(low) <= heap_committed(heap) - offset;
}

bool chunk_looks_in_use(const struct arena *arena, const struct chunk *chunk)
{
    uint32_t low = chunk_low(chunk);
    return !PTM_SEALED ||
           (chunk_seal(chunk) == chunk_seal_in_use(chunk, low) &&
            (low & CHUNK_IS_FREE) == 0 && low_fits(arena, chunk, low));
}

_Noreturn PTM_COLD static void die_of_state(const struct arena *arena,
                                            const struct chunk *chunk,
                                            const char *where)
{
    bool is_ours = low_fits(arena, chunk, chunk_low(chunk)) &&
                   (chunk_is_cached(chunk) || chunk_is_sealed(chunk));
    if (is_ours) {
        die_of_freed(arena, chunk, where);
    }
    die_of_word(arena, chunk, where);
}

void chunk_verify_word(const struct arena *arena, const struct chunk *chunk,
                       const char *where)
{
    if (unlikely(!chunk_looks_in_use(arena, chunk))) {
        die_of_state(arena, chunk, where);
    }
}

void object_verify(const struct arena *arena, unsigned size_class,
                   const void *mem, const char *where)
{
    if (!PTM_SEALED) {
        return;
    }
    if (unlikely(!run_has_object_at(size_class, mem))) {
        die_of_object(arena, size_class, mem, where,
                      "not the start of a block");
    }
    if (unlikely(object_is_marked(mem) ||
                 run_has_free(heap_run_of(mem), size_class, mem))) {
        die_of_object(arena, size_class, mem, where,
                      where == where_free ? "double free"
                                          : "use of a freed block");
    }
}

void object_verify_cached(const struct arena *arena, const void *mem)
{
    if (!PTM_SEALED) {
        return;
    }
    if (unlikely(!object_is_marked(mem))) {
        die_of_object(arena, block_run_class(mem), mem, "malloc()",
                      "block written to after its free");
    }
}

/* The header behind a chunk: that of a chunk in use, of a free one, of top,
 * or a fence. It says, as any header does, that what is before it is in use.
 * Its owner may be moving it to or from a cache meanwhile: either seal will
 * do. */
static bool next_header_is_sound(const struct arena *arena,
                                 const struct chunk *next)
{
    if (!PTM_SEALED) {
        return true;
    }
    const struct heap *heap = heap_for_ptr(next);
    size_t room = (uintptr_t)heap_end(heap) - (uintptr_t)next;
    uint32_t low = chunk_low(next);
    uint32_t difference = chunk_seal(next) ^ chunk_seal_for(next, low);
    return (difference == 0 || difference == seal_keys.cached) &&
           (low & CHUNK_PREV_INUSE) != 0 &&
           (low & (CHUNK_IS_MMAPPED | CHUNK_NON_MAIN_ARENA)) == arena->flags &&
           word_size(low) >= CHUNK_HEADER_SIZE && word_size(low) <= room;
}

bool chunk_next_looks_sound(const struct arena *arena,
                            const struct chunk *chunk)
{
    const struct chunk *next = chunk_next(chunk);
    return next != heap_end(heap_for_ptr(chunk)) &&
           next_header_is_sound(arena, next);
}

void chunk_verify(struct arena *arena, const struct chunk *chunk,
                  const char *where)
{
    chunk_verify_word(arena, chunk, where);
    const struct chunk *next = chunk_next(chunk);
    if (unlikely(next == heap_end(heap_for_ptr(chunk)))) {
        /* Only top and a fence reach to the end of their heap. */
        die_of_word(arena, chunk, where);
    }
    if (unlikely(!next_header_is_sound(arena, next))) {
        die(arena, chunk, where, "destroyed size word after the block");
    }
}

/* The free chunk before a chunk whose P is clear, after its tag, size and
 * footer have agreed. */
static struct chunk *verified_previous(const struct arena *arena,
                                       const struct chunk *chunk)
{
    if (!PTM_SEALED) {
        return chunk_previous(chunk);
    }
    const struct heap *heap = heap_for_ptr(chunk);
    size_t room = (uintptr_t)chunk - (uintptr_t)heap_first_chunk(heap);
    size_t size = chunk->prev_size;
    if (unlikely(size > room || size < MIN_CHUNK_SIZE ||
                 size % MALLOC_ALIGNMENT != 0)) {
        die(arena, chunk, "heap", "destroyed footer");
    }
    struct chunk *previous = chunk_previous(chunk);
    uint32_t low = chunk_low(previous);
    if (unlikely(!chunk_is_sealed(previous) || !(low & CHUNK_IS_FREE) ||
                 !low_is_plausible(low, arena->flags) ||
                 word_size(low) != size)) {
        die(arena, chunk, "heap", "destroyed footer");
    }
    return previous;
}

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
        chunk_mark_inuse(top);
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

/* How much to ask the kernel for beyond what is needed: system calls become
 * rarer as the arena grows. */
static size_t growth(const struct arena *arena, size_t need)
{
    size_t step =
        max_size(HEAP_GROW_MIN, arena->system_bytes / HEAP_GROW_SHARE);
    return max_size(need, step) +
           min_size(option_get(OPTION_TOP_PAD), HEAP_MAX_SIZE);
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
        !heap_grow(heap, need, min_size(growth(arena, need), most))) {
        return false;
    }
    size_t added = heap->committed - before;
    chunk_resize(arena->top, chunk_size(arena->top) + added);
    count_system_bytes(arena, added);
    return true;
}

/* A heap without blocks: all of it is top. */
static void adopt_heap(struct arena *arena, struct heap *heap)
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
                                    min_size(growth(arena, size), most));
    if (heap == NULL) {
        return false;
    }
    adopt_heap(arena, heap);
    return true;
}

/* Top's word stands behind the last block, where an overflow meets it first. */
static void verify_top(const struct arena *arena)
{
    if (!PTM_SEALED) {
        return;
    }
    const struct chunk *top = arena->top;
    size_t size = (uintptr_t)heap_end(heap_for_ptr(top)) - (uintptr_t)top;
    if (unlikely(!chunk_is_sealed(top) || !chunk_is_free(top) ||
                 chunk_size(top) != size)) {
        die_of_word(arena, top, "heap");
    }
}

/* Makes top hold `size` bytes. */
static bool ensure_top(struct arena *arena, size_t size)
{
    if (arena->top != NULL) {
        verify_top(arena);
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
 * be a chunk, to the bins. The chunk behind is in use. */
static void split_off_free(struct arena *arena, struct chunk *chunk,
                           size_t size)
{
    size_t remainder = chunk_size(chunk) - size;
    if (remainder < MIN_CHUNK_SIZE) {
        chunk_set_prev_inuse(chunk_next(chunk));
        return;
    }
    chunk_resize(chunk, size);
    struct chunk *rest = chunk_next(chunk);
    chunk_set_head(rest, remainder,
                   arena->flags | CHUNK_IS_FREE | CHUNK_PREV_INUSE);
    put_in_bin(arena, rest);
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
    chunk_set_head(top, remainder,
                   arena->flags | CHUNK_IS_FREE | CHUNK_PREV_INUSE);
    chunk_resize(chunk, size);
    chunk_mark_inuse(chunk);
    heap_note_touched(heap, chunk2mem(top));
    arena->top = top;
    return chunk;
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

static struct chunk *merge_previous(struct arena *arena, struct chunk *chunk)
{
    if (chunk_prev_inuse(chunk)) {
        return chunk;
    }
    struct chunk *previous = verified_previous(arena, chunk);
    take_out_of_bin(arena, previous);
    chunk_resize(previous, chunk_size(previous) + chunk_size(chunk));
    return previous;
}

static void merge_next(struct arena *arena, struct chunk *chunk)
{
    struct chunk *next = chunk_next(chunk);
    if (next == arena->top) {
        chunk_resize(chunk, chunk_size(chunk) + chunk_size(next));
        arena->top = chunk;
    } else if (chunk_is_free(next)) {
        take_out_of_bin(arena, next);
        chunk_resize(chunk, chunk_size(chunk) + chunk_size(next));
    }
}

static void note_bytes_freed(struct arena *arena, size_t bytes)
{
    size_t freed = arena->sweeps.freed + bytes;
    __atomic_store_n(&arena->sweeps.freed, freed, __ATOMIC_RELAXED);
}

/* What is behind the chunk may be merged with it: its header and its links are
 * garbage then.
 *
 * The header of a chunk that is merged into the one before keeps F, so that
 * a second free of it is recognised until its memory is used again. */
void _int_free(struct arena *arena, struct chunk *chunk)
{
    size_t size = chunk_size(chunk);
    note_bytes_freed(arena, size);
    note_freed(chunk, 0, size + MIN_CHUNK_SIZE);
    chunk_mark_free(chunk);
    chunk = merge_previous(arena, chunk);
    merge_next(arena, chunk);
    if (chunk != arena->top) {
        put_in_bin(arena, chunk);
    }
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

/* Cuts a chunk whose mem is a multiple of `alignment` out of a chunk in use;
 * the rest of it goes back. */
static struct chunk *cut_aligned(struct arena *arena, struct chunk *chunk,
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

/* ---- runs ---------------------------------------------------------------- */

unsigned arena_class_for(struct arena *arena, size_t request)
{
    unsigned run_class = run_class_serving(request);
    unsigned chunk_class = class_serving(request_to_chunk_size(request));
    if (arena_has_run_class(arena, run_class)) {
        return run_class;
    }
    if (likely(arena->lent[chunk_class] * class_size(chunk_class) <
               RUN_DEMAND) ||
        class_size(run_class) > option_get(OPTION_RUN_MAX)) {
        return chunk_class;
    }
    arena->run_classes |= (uint64_t)1 << (run_class - CHUNK_CLASSES);
    return run_class;
}

/* Whether requests that were served by this class of chunks get objects now: a
 * chunk of it that is freed waits for nobody. */
static bool is_replaced_by_runs(const struct arena *arena, unsigned chunk_class)
{
    if (chunk_class >= SMALL_CLASSES) {
        return false;
    }
    size_t most = usable_size_of(class_size(chunk_class));
    unsigned run_class = run_class_serving(most);
    return arena_has_run_class(arena, run_class) &&
           arena_has_run_class(arena, run_class - 1);
}

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

/* Out of top, which has room. */
static struct chunk *carve_span(struct arena *arena, size_t size)
{
    verify_top(arena);
    size_t way = way_to_span(arena->top);
    struct chunk *chunk = carve_top(arena, way + size);
    if (way == 0) {
        return chunk;
    }
    struct chunk *span = split_in_use(arena, chunk, way);
    _int_free(arena, chunk);
    return span;
}

/* A chunk in use whose mem is at a multiple of RUN_SIZE, of so many pages; or
 * of fewer, as long as these are there. */
static struct chunk *take_span(struct arena *arena, unsigned *pages)
{
    size_t size = *pages * RUN_SIZE;
    for (unsigned fewer = *pages; fewer > 0; fewer /= 2) {
        struct chunk *chunk =
            bins_take_aligned(&arena->bins, fewer * RUN_SIZE, RUN_SIZE);
        if (chunk != NULL) {
            *pages = fewer;
            return cut_span(arena, chunk, fewer * RUN_SIZE);
        }
    }
    if (arena_top_size(arena) >= size + 2 * RUN_SIZE) {
        return carve_span(arena, size);
    }
    return _int_memalign(arena, RUN_SIZE, size);
}

/* Large ones for who has many runs. */
static unsigned pages_of_next_span(const struct arena *arena)
{
    size_t pages = arena->runs.count / RUN_SPAN_SHARE;
    return pages > 0 ? 1u << min_size(highest_bit(pages), RUN_SPAN_SHIFT) : 1;
}

/* What a new span has in memory from before is as if it had just been given
 * back: it may be long before a page of it is used. The first and the last
 * quarter, which the chunks on either side have marked, say nothing. */
static void note_garbage(struct heap *heap, char *start, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++) {
        size_t place = heap_place(heap, start + i * RUN_SIZE);
        size_t before = i == 0 ? RUN_QUARTER : 0;
        size_t behind = i + 1 == pages ? RUN_QUARTER : 0;
        struct span_of_pages page = {place + before, place + RUN_SIZE - behind};
        struct span_of_pages dirty = pages_next_dirty(&heap->pages, page, true);
        if (dirty.from < dirty.to) {
            heap_note_given(heap, start + i * RUN_SIZE);
        }
    }
}

static bool add_span(struct arena *arena)
{
    unsigned pages = pages_of_next_span(arena);
    struct chunk *chunk = take_span(arena, &pages);
    if (chunk == NULL && pages > 1) {
        /* There may be room for one. */
        pages = 1;
        chunk = take_span(arena, &pages);
    }
    if (chunk == NULL) {
        return false;
    }
    char *start = chunk2mem(chunk);
    struct heap *heap = heap_for_ptr(start);
    if (!heap_prepare_runs(heap)) {
        _int_free(arena, chunk);
        return false;
    }
    chunk_flip_cached(chunk);
    heap_note_span(heap, heap_page_of(start) + pages);
    run_add_span(&arena->runs, heap_run_of(start),
                 &heap->page_class[heap_page_of(start)], start, pages);
    note_garbage(heap, start, pages);
    return true;
}

static bool add_run(struct arena *arena, unsigned size_class)
{
    if (arena->runs.spares == 0 && !add_span(arena)) {
        return false;
    }
    struct run *run = run_take_spare(&arena->runs);
    run_begin(&arena->runs, run, size_class);
    return true;
}

/* A CACHED block is believed as little as one that the program hands in. */
void arena_verify_cached(const struct arena *arena, const struct chunk *chunk)
{
    uint32_t low = chunk_low(chunk);
    const struct heap *heap = heap_for_ptr(chunk);
    size_t offset = (uintptr_t)chunk - (uintptr_t)heap;
    uint32_t seal = chunk_seal_for(chunk, low) ^ seal_keys.cached;
    if (PTM_SEALED &&
        unlikely(chunk_seal(chunk) != seal ||
                 !low_is_plausible(low, arena->flags) ||
                 word_size(low) >= heap_committed(heap) - offset)) {
        die_of_word(arena, chunk, "heap");
    }
}

/* Of those that are empty all but so many pages go back to the heap. */
static void free_spans(struct arena *arena, size_t keep)
{
    while (arena->runs.empty_pages > keep) {
        struct run *first = run_take_empty_span(&arena->runs);
        struct chunk *chunk = mem2chunk(first->start);
        arena_verify_cached(arena, chunk);
        chunk_flip_cached(chunk);
        chunk_verify(arena, chunk, "heap");
        heap_forget_span(heap_for_ptr(first->start));
        heap_forget_given(heap_for_ptr(first->start), first->start,
                          chunk_size(chunk) / RUN_SIZE);
        _int_free(arena, chunk);
    }
}

void arena_free_empty_spans(struct arena *arena)
{
    free_spans(arena, 0);
}

/* The run has so few or so many free objects that it changes its place. */
static PTM_NOINLINE void settle_run(struct arena *arena, struct run *run)
{
    if (!run_is_empty(run)) {
        run_settle(&arena->runs, run);
        return;
    }
    run_retire(&arena->runs, run);
    free_spans(arena, RUN_SPARES + arena->runs.count / RUN_SPARE_SHARE);
}

/* One that has come back before may lie in what is no run any more, or where
 * there is no heap any more. */
static void verify_run(const struct arena *arena, unsigned size_class,
                       const void *mem, const char *where)
{
    if (unlikely(owner_of(mem) != arena->number ||
                 block_run_class(mem) != size_class)) {
        die_of_object(arena, size_class, mem, where, "double free");
    }
}

void arena_free_objects(struct arena *arena, unsigned size_class,
                        void *const *mems, size_t count, const char *where)
{
    run_count_returned(&arena->runs, size_class, count);
    note_bytes_freed(arena, count * class_size(size_class));
    const char *page = NULL; /* that of the object before; a run of the class */
    struct run *run = NULL;
    for (size_t i = 0; i < count; i++) {
        if (run_page(mems[i]) != page) {
            verify_run(arena, size_class, mems[i], where);
            page = run_page(mems[i]);
            run = heap_run_of(mems[i]);
            heap_note_given(heap_for_ptr(mems[i]), mems[i]);
        }
        if (unlikely(!run_has_object_at(size_class, mems[i]))) {
            die_of_object(arena, size_class, mems[i], where,
                          "not the start of a block");
        }
        if (unlikely(!run_give(run, size_class, mems[i]))) {
            die_of_object(arena, size_class, mems[i], where, "double free");
        }
        if (unlikely(run_is_unsettled(run))) {
            settle_run(arena, run);
            page = NULL;
        }
    }
}

void arena_end_watch(struct arena *arena, const void *mem)
{
    run_end_watch(heap_run_of(mem));
    heap_note_given(heap_for_ptr(mem), mem);
    note_bytes_freed(arena, RUN_QUARTER);
}

static size_t take_objects(struct arena *arena, unsigned size_class,
                           void **mems, size_t most)
{
    size_t taken = run_take(&arena->runs, size_class, mems, most);
    if (taken == 0 && add_run(arena, size_class)) {
        taken = run_take(&arena->runs, size_class, mems, most);
    }
    return taken;
}

/* ---- depot ------------------------------------------------------------- */

void chunk_verify_free(const struct arena *arena, const struct chunk *chunk)
{
    if (!PTM_SEALED) {
        return;
    }
    if (unlikely(!chunk_is_sealed(chunk) || !chunk_is_free(chunk))) {
        die_of_word(arena, chunk, "heap");
    }
}

void arena_free_cached(struct arena *arena, void *mem)
{
    struct chunk *chunk = mem2chunk(mem);
    arena_verify_cached(arena, chunk);
    if (unlikely(!next_header_is_sound(arena, chunk_next(chunk)))) {
        die(arena, chunk, "heap", "destroyed size word after the block");
    }
    _int_free(arena, chunk);
}

static void free_cached(struct arena *arena, unsigned size_class,
                        void *const *mems, size_t count)
{
    if (class_is_run(size_class)) {
        arena_free_objects(arena, size_class, mems, count, "heap");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        arena_free_cached(arena, mems[i]);
    }
}

bool arena_free_depot(struct arena *arena, size_t most)
{
    void *mems[MAGAZINE_MAX];
    unsigned size_class;
    bool any = false;
    while (most > 0) {
        size_t taken = depot_take_any(&arena->depot, &size_class, mems,
                                      min_size(most, MAGAZINE_MAX));
        if (taken == 0) {
            break;
        }
        free_cached(arena, size_class, mems, taken);
        most -= taken;
        any = true;
    }
    return any;
}

/* Twice as many bytes go as have come just now: as live bytes fall, the depot
 * must fall with them, but no call is to pay for many that came before. How
 * many blocks that are is told by their mean. */
static void keep_depot_small(struct arena *arena, size_t came)
{
    const struct depot *depot = &arena->depot;
    size_t most =
        max_size(DEPOT_BYTES, arena_live_bytes(arena) / DEPOT_LIVE_SHARE);
    if (unlikely(depot->bytes > most || depot->blocks > DEPOT_BLOCKS)) {
        size_t bytes =
            min_size(2 * came, depot->bytes - min_size(most, depot->bytes));
        size_t blocks = bytes * depot->blocks / depot->bytes + DEPOT_STEP;
        size_t over = depot->blocks - min_size(DEPOT_BLOCKS, depot->blocks);
        arena_free_depot(arena,
                         min_size(max_size(blocks, over), 2 * SLOW_STEP));
    }
}

static void count_returned(struct arena *arena, unsigned size_class,
                           size_t count)
{
    if (size_class <= SMALL_CLASSES) {
        size_t lent = arena->lent[size_class];
        arena->lent[size_class] = lent - min_size(lent, count);
    }
}

/* Stores without looking at the bound. */
static void store(struct arena *arena, unsigned size_class, void *const *mems,
                  size_t count)
{
    count_returned(arena, size_class, count);
    size_t given = is_replaced_by_runs(arena, size_class)
                       ? 0
                       : depot_give(&arena->depot, size_class, mems, count);
    if (unlikely(given < count)) {
        free_cached(arena, size_class, mems + given, count - given);
    }
}

void arena_give(struct arena *arena, unsigned size_class, void *const *mems,
                size_t count)
{
    store(arena, size_class, mems, count);
    keep_depot_small(arena, count * class_size(size_class));
}

static void count_arrivals(struct arena *arena, size_t count)
{
    __atomic_store_n(&arena->arrivals_count, count, __ATOMIC_RELAXED);
}

/* The first parcel that waits, or NULL. */
static struct parcel *first_arrival(struct arena *arena)
{
    if (arena->arrivals == NULL) {
        size_t count;
        arena->arrivals = inbox_take(&arena->inbox, &count);
        count_arrivals(arena, count);
    }
    return arena->arrivals;
}

static void drop_first_arrival(struct arena *arena)
{
    struct parcel *parcel = arena->arrivals;
    arena->arrivals = parcel_next(parcel);
    size_t count = arena->arrivals_count;
    count_arrivals(arena, count > 0 ? count - 1 : 0);
    parcel_put(parcel);
}

/* Up to SLOW_STEP blocks of a parcel, none of which is touched; false when
 * none is left. */
static bool sort_some_arrivals(struct arena *arena)
{
    struct parcel *parcel = first_arrival(arena);
    if (parcel == NULL) {
        return false;
    }
    size_t came = 0;
    for (int i = 0; i < SLOW_STEP && parcel->count > 0; i++) {
        uint64_t entry = parcel->entries[--parcel->count];
        void *mem = entry_mem(entry);
        unsigned size_class = entry_class(entry);
        if (!class_is_run(size_class) ||
            !depot_put(&arena->depot, size_class, mem)) {
            store(arena, size_class, &mem, 1);
        }
        came += class_size(size_class);
    }
    if (parcel->count == 0) {
        drop_first_arrival(arena);
    }
    keep_depot_small(arena, came);
    return true;
}

void arena_sort_arrivals(struct arena *arena, size_t most)
{
    for (size_t sorted = 0; sorted < most; sorted += SLOW_STEP) {
        if (!sort_some_arrivals(arena)) {
            return;
        }
    }
}

bool arena_shed_depot(struct arena *arena)
{
    struct depot *depot = &arena->depot;
    arena_sort_arrivals(arena, SLOW_STEP);
    free_spans(arena, 0);
    size_t idle = depot->low;
    arena_free_depot(arena, min_size(idle, SLOW_STEP));
    depot->low = idle - min_size(idle, SLOW_STEP);
    if (depot->low > 0 || arena->arrivals != NULL) {
        return true;
    }
    depot->low = depot->blocks;
    return false;
}

/* ---- taking, seen from above ------------------------------------------- */

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

/* A chunk in use of `size` bytes, or as many times that, up to `most`, as the
 * free chunk has that serves. */
static struct chunk *take_many_from_bins(struct arena *arena, size_t size,
                                         size_t most)
{
    struct chunk *chunk = bins_take(&arena->bins, size);
    if (chunk != NULL) {
        note_out_of_bin(chunk);
        note_zeroes(arena, chunk, size);
        if (most > 1) {
            size *= min_size(chunk_size(chunk) / size, most);
        }
        split_off_free(arena, chunk, size);
        chunk_mark_inuse(chunk);
    }
    return chunk;
}

static struct chunk *take_from_bins(struct arena *arena, size_t size)
{
    return take_many_from_bins(arena, size, 1);
}

/* The same from what top has. */
static struct chunk *take_many_from_top(struct arena *arena, size_t size,
                                        size_t most)
{
    size_t room = arena_top_size(arena);
    if (room < size + MIN_CHUNK_SIZE) {
        return NULL;
    }
    verify_top(arena);
    return carve_top(arena,
                     size * min_size((room - MIN_CHUNK_SIZE) / size, most));
}

static struct chunk *take_from_top(struct arena *arena, size_t size)
{
    return ensure_top(arena, size + MIN_CHUNK_SIZE) ? carve_top(arena, size)
                                                    : NULL;
}

/* The kernel has refused: everything that waits for caches is merged. */
static struct chunk *take_after_reclaiming(struct arena *arena, size_t size)
{
    arena_sort_arrivals(arena, SIZE_MAX);
    arena_free_depot(arena, SIZE_MAX);
    free_spans(arena, 0);
    struct chunk *chunk = take_from_bins(arena, size);
    return chunk != NULL ? chunk : take_from_top(arena, size);
}

/* Before a heap grows, some of what the depot holds is freed: it may merge to
 * what is needed. */
struct chunk *_int_malloc(struct arena *arena, size_t size)
{
    struct chunk *chunk = take_from_bins(arena, size);
    if (chunk == NULL && arena_top_size(arena) < size + MIN_CHUNK_SIZE &&
        arena_free_depot(arena, SLOW_STEP)) {
        chunk = take_from_bins(arena, size);
    }
    if (chunk == NULL) {
        chunk = take_from_top(arena, size);
    }
    return chunk != NULL ? chunk : take_after_reclaiming(arena, size);
}

/* One chunk of `size` bytes, or several in one piece, up to `most`. */
static struct chunk *take_many(struct arena *arena, size_t size, size_t most)
{
    struct chunk *chunk = take_many_from_bins(arena, size, most);
    if (chunk == NULL) {
        chunk = take_many_from_top(arena, size, most);
    }
    return chunk != NULL ? chunk : _int_malloc(arena, size);
}

/* Cuts a chunk in use into CACHED ones of `size` bytes; the last may get a
 * little more. Returns how many. */
static size_t cut_up(struct arena *arena, struct chunk *chunk, size_t size,
                     void **mems)
{
    size_t count = 0;
    size_t left = chunk_size(chunk);
    while (left > 0) {
        size_t part = left < 2 * size ? left : size;
        chunk_set_head(chunk, part, arena->flags | CHUNK_PREV_INUSE);
        chunk_flip_cached(chunk);
        mems[count++] = chunk2mem(chunk);
        chunk = chunk_at(chunk, part);
        left -= part;
    }
    return count;
}

static size_t take_chunks(struct arena *arena, unsigned size_class, void **mems,
                          size_t most)
{
    size_t size = class_size(size_class);
    size_t taken = 0;
    const char *zero_from = NULL;
    most = min_size(most, max_size(TAKE_NEW_BYTES / size, 1));
    while (taken < most) {
        struct chunk *chunk = take_many(arena, size, most - taken);
        if (chunk == NULL) {
            break;
        }
        if (taken == 0) {
            zero_from = arena->zero_from;
        }
        taken += cut_up(arena, chunk, size, mems + taken);
    }
    arena->zero_from = zero_from;
    return taken;
}

size_t arena_take(struct arena *arena, unsigned size_class, void **mems,
                  size_t most)
{
    size_t taken = depot_take(&arena->depot, size_class, mems, most);
    arena->zero_from = NULL;
    if (taken == 0 && class_is_run(size_class)) {
        taken = take_objects(arena, size_class, mems, most);
        arena->zero_from = NULL;
    } else if (taken == 0) {
        taken = take_chunks(arena, size_class, mems, most);
    }
    if (size_class <= SMALL_CLASSES) {
        arena->lent[size_class] += taken;
    }
    return taken;
}

/* ---- alignment and resizing ------------------------------------------ */

struct chunk *_int_memalign(struct arena *arena, size_t alignment, size_t size)
{
    struct chunk *chunk = _int_malloc(arena, size + alignment + MIN_CHUNK_SIZE);
    return chunk != NULL ? cut_aligned(arena, chunk, alignment, size) : NULL;
}

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
    carve_top(arena, wanted - had);
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
/* ---- emptying ---------------------------------------------------------- */

/* Forgets all blocks and heaps, but not what others have added up. No thread's
 * cache has blocks of this arena, and nobody sends it any. */
static void forget_everything(struct arena *arena)
{
    ptm_assert(arena->runs.spares == 0 && arena->runs.count == 0);
    arena->top = NULL;
    arena->heaps = NULL;
    arena->heap_count = 0;
    arena->system_bytes = 0;
    arena->zero_from = NULL;
    arena->bins = (struct bins){.owner = arena->number};
    arena->sweeps = (struct sweeps){.freed = arena->sweeps.freed,
                                    .live_seen = arena->sweeps.live_seen};
}

/* What cannot be unmapped stays, as a heap without blocks. */
void arena_empty(struct arena *arena)
{
    struct heap *heap = arena->heaps;
    ptm_assert(arena->is_private && arena->depot.blocks == 0);
    forget_everything(arena);
    while (heap != NULL) {
        struct heap *next = heap->next;
        if (!heap_is_whole(heap) || !heap_destroy(heap)) {
            heap->next = NULL;
            heap->previous = NULL;
            heap->touched = heap->committed;
            heap->pages = (struct pages){0};
            pages_note_freed(&heap->pages, 0, heap->touched);
            adopt_heap(arena, heap);
        }
        heap = next;
    }
    arena_trim_top(arena, 0);
}
