/*
 * heapwalk.c - from size word to size word.
 */
#include "heapwalk.h"

#include <string.h>

enum {
    window_size = 64 << 10,
    far = 16 << 10, /* behind so much, what is read ahead is rarely wanted */
    patience = 3,   /* times that one place is read again */
    repairs_most = 1000, /* ... and all places of a heap */
    run_size_most = 512,
    span_most = 128 /* pages */
};

struct walker {
    const struct memory *memory;
    const struct layout *layout;
    const struct heap_view *heap;
    const unsigned char *states;
    block_visitor *visit;
    void *context;
    unsigned tears, repairs;
    uint64_t ahead; /* how much to read where something is not in the window */
    uint64_t window_start, window_end;
    _Alignas(16) unsigned char window[window_size];
    bool has_runs;
    unsigned char span[span_most * run_size_most]; /* the heads of one ... */
    unsigned char span_classes[span_most];         /* and the heap's bytes */
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool heap_view_read(struct heap_view *heap, const struct memory *memory,
                    const struct layout *layout, uint64_t address,
                    unsigned arena_number)
{
    uint64_t size = (uint64_t)1 << layout->heap_shift;
    uint64_t arena;

    memset(heap, 0, sizeof *heap);
    heap->address = address;
    heap->arena_number = arena_number;
    if (!memory_read(memory, layout->arenas + arena_number * sizeof(uint64_t),
                     &heap->arena, sizeof heap->arena) ||
        !memory_read(memory, heap->arena + layout->arena_flags,
                     &heap->arena_flags, sizeof heap->arena_flags) ||
        !memory_read(memory, address + layout->heap_arena, &arena,
                     sizeof arena) ||
        !memory_read(memory, address + layout->heap_committed, &heap->committed,
                     sizeof heap->committed) ||
        !memory_read(memory, address + layout->heap_reserved, &heap->reserved,
                     sizeof heap->reserved))
        return false;
    if (layout_has(layout->heap_runs) &&
        !memory_read(memory, address + layout->heap_runs, &heap->runs,
                     sizeof heap->runs))
        return false;
    return arena == heap->arena && heap->reserved <= size &&
           heap->committed <= heap->reserved &&
           heap->committed % page_size == 0 &&
           heap->committed >= layout->heap_first_chunk + layout->chunk_min;
}

/* ---- reading ------------------------------------------------------------ */

static uint64_t end_of(const struct walker *walker)
{
    return walker->heap->address + walker->heap->committed;
}

static bool page_is_there(const struct walker *walker, uint64_t address)
{
    return walker->states[(address - walker->heap->address) / page_size] !=
           page_absent;
}

/* Reads from the page of `at` on, as far as there are pages. The page itself is
 * read in any case: a size word was written there. */
static bool fill_window(struct walker *walker, uint64_t at)
{
    uint64_t start = at / page_size * page_size;
    uint64_t end = start + page_size;
    uint64_t most = least(start + walker->ahead, end_of(walker));

    while (end < most && page_is_there(walker, end))
        end += page_size;
    walker->window_start = walker->window_end = start;
    if (!memory_read(walker->memory, start, walker->window, end - start)) {
        end = start + page_size;
        if (!memory_read(walker->memory, start, walker->window, page_size))
            return false;
    }
    walker->window_end = end;
    return true;
}

static void forget_window(struct walker *walker)
{
    walker->window_start = walker->window_end = 0;
}

/* Eight bytes at a multiple of eight in the heap; 0 when they are not there. */
static uint64_t word_at(struct walker *walker, uint64_t at)
{
    uint64_t word;

    if ((at < walker->window_start || at >= walker->window_end) &&
        !fill_window(walker, at))
        return 0;
    memcpy(&word, walker->window + (at - walker->window_start), sizeof word);
    return word;
}

/* The chunk at an address by its size word; false when that is not sound. What
 * reaches to the heap's end is top or a fence; a fence that is as large as a
 * block is marked as cached, so that nobody frees it. A top that reaches beyond
 * is that of a heap that has just become smaller. */
static bool chunk_at(struct walker *walker, uint64_t at, struct block *block)
{
    const struct layout *layout = walker->layout;
    uint64_t word = word_at(walker, at + layout->chunk_word);
    uint32_t low = (uint32_t)word;
    uint64_t size = low & ~(uint32_t)layout->chunk_flags;
    uint64_t room = end_of(walker) - at;
    uint32_t foreign =
        low & (uint32_t)(layout->chunk_is_mmapped | layout->chunk_non_main);
    bool is_free = (low & layout->chunk_is_free) != 0;
    uint32_t difference;

    if (size == 0 || (size > room && !is_free) ||
        (size < layout->chunk_min && size != room) ||
        foreign != walker->heap->arena_flags)
        return false;
    size = least(size, room);
    difference = (uint32_t)(word >> 32) ^ layout_seal(layout, at, low);
    block->address = at;
    block->mem = at + layout->chunk_header;
    block->size = size;
    block->run_class = 0;
    if (is_free) {
        block->state = size == room ? block_top : block_free;
        return difference == layout->key_freed;
    }
    block->state = size == room      ? block_overhead
                   : difference == 0 ? block_live
                                     : block_cached;
    return difference == 0 || difference == layout->key_cached;
}

/* ---- runs --------------------------------------------------------------- */

static bool runs_are_described(const struct layout *layout)
{
    return layout_has(layout->page_class) && layout_has(layout->run_bytes) &&
           layout_has(layout->run_step) && layout_has(layout->run_watched) &&
           layout_has(layout->run_span) && layout_has(layout->run_size) &&
           layout_has(layout->run_start) && layout_has(layout->run_objects) &&
           layout_has(layout->run_pages) && layout_has(layout->run_free_map) &&
           layout_has(layout->keys_object);
}

static bool runs_are_plausible(const struct layout *layout)
{
    return layout->run_bytes >= page_size && layout->run_bytes <= 1 << 20 &&
           (layout->run_bytes & (layout->run_bytes - 1)) == 0 &&
           layout->run_step != 0 && layout->run_step % 16 == 0 &&
           layout->run_step <= page_size && layout->run_watched < 256 &&
           layout->run_span <= span_most && layout->run_size <= run_size_most &&
           layout->run_start <= run_size_most - sizeof(uint64_t) &&
           layout->run_objects <= run_size_most - sizeof(uint16_t) &&
           layout->run_pages < layout->run_size &&
           layout->run_free_map <= layout->run_size;
}

static uint64_t pages_of_runs(const struct layout *layout)
{
    return ((uint64_t)1 << layout->heap_shift) / layout->run_bytes;
}

uint64_t heap_runs_size(const struct layout *layout)
{
    return layout_has(layout->heap_runs) && runs_are_described(layout) &&
                   runs_are_plausible(layout)
               ? pages_of_runs(layout) * layout->run_size
               : 0;
}

static void show(const struct walker *walker, uint64_t start, uint64_t end,
                 enum block_state state)
{
    struct block block = {start, end - start, state, start, 0};

    if (end > start)
        walker->visit(walker->context, &block);
}

/* How many pages the span has that this chunk is, whose heads are read then,
 * and the heap's bytes for its pages; 0: it is none. */
static unsigned read_span(struct walker *walker, const struct block *chunk)
{
    const struct layout *layout = walker->layout;
    uint64_t start, pages, number, at;

    if (!walker->has_runs || chunk->mem % layout->run_bytes != 0 ||
        chunk->size < layout->run_bytes)
        return 0;
    number = (chunk->mem - walker->heap->address) / layout->run_bytes;
    at = walker->heap->runs + number * layout->run_size;
    if (!memory_read(walker->memory, at, walker->span, layout->run_size))
        return 0;
    memcpy(&start, walker->span + layout->run_start, sizeof start);
    pages = walker->span[layout->run_pages];
    if (start != chunk->mem || pages == 0 || pages > layout->run_span ||
        pages * layout->run_bytes > chunk->size ||
        !memory_read(walker->memory, at, walker->span,
                     pages * layout->run_size) ||
        !memory_read(walker->memory,
                     walker->heap->address + layout->page_class + number,
                     walker->span_classes, pages))
        return 0;
    return (unsigned)pages;
}

static bool bit_is_set(const unsigned char *map, uint64_t map_bytes, unsigned i)
{
    return i / 8 < map_bytes && (map[i / 8] >> i % 8 & 1);
}

static enum block_state object_state(struct walker *walker,
                                     const unsigned char *run, unsigned i,
                                     uint64_t mem)
{
    const struct layout *layout = walker->layout;

    if (bit_is_set(run + layout->run_free_map,
                   layout->run_size - layout->run_free_map, i))
        return block_free;
    if (walker->heap->without_marks)
        return block_live;
    return word_at(walker, mem + sizeof(uint64_t)) == (mem ^ layout->key_object)
               ? block_cached
               : block_live;
}

/* The size of the objects on a page of a span, and their count; 0: a spare, or
 * what is just becoming a run, or ceasing to be one. */
static uint32_t objects_on(const struct walker *walker, unsigned page,
                           uint16_t *count)
{
    const struct layout *layout = walker->layout;
    unsigned number = walker->span_classes[page] & ~layout->run_watched;
    uint64_t size = number * layout->run_step;

    memcpy(count, walker->span + page * layout->run_size + layout->run_objects,
           sizeof *count);
    return size * *count <= layout->run_bytes ? (uint32_t)size : 0;
}

/* One page of a span, up to `end`, which in the last one is before the header
 * of the chunk behind. */
static void show_run(struct walker *walker, unsigned page, uint64_t start,
                     uint64_t end)
{
    const unsigned char *run = walker->span + page * walker->layout->run_size;
    uint16_t count;
    uint32_t size = objects_on(walker, page, &count);
    uint64_t at = start;

    if (size == 0 || count == 0) {
        show(walker, start, end, block_free);
        return;
    }
    for (unsigned i = 0; i < count && at < end; i++, at += size) {
        struct block object = {at, least(size, end - at),
                               object_state(walker, run, i, at), at, size};

        walker->visit(walker->context, &object);
    }
    show(walker, least(at, end), end, block_overhead);
}

/* The header, the pages, and what the chunk is larger than these. */
static void show_span(struct walker *walker, const struct block *chunk,
                      unsigned pages)
{
    uint64_t run = walker->layout->run_bytes;
    uint64_t at = chunk->mem, end = chunk->address + chunk->size;

    show(walker, chunk->address, at, block_overhead);
    walker->ahead = window_size;
    for (unsigned i = 0; i < pages; i++, at += run)
        show_run(walker, i, at, least(at + run, end));
    show(walker, least(at, end), end, block_overhead);
}

/* To its neighbours a span is a chunk that is cached. */
static void show_chunk(struct walker *walker, const struct block *chunk)
{
    unsigned pages =
        chunk->state == block_cached ? read_span(walker, chunk) : 0;

    if (pages > 0)
        show_span(walker, chunk, pages);
    else
        walker->visit(walker->context, chunk);
}

/* ---- the walk ----------------------------------------------------------- */

/* The next sound size word behind a place where there is none; the heap's end
 * if there is none at all. */
static uint64_t next_sound(struct walker *walker, uint64_t at)
{
    struct block block;
    uint64_t end = end_of(walker);

    for (at += walker->layout->chunk_step; at < end;) {
        if (!page_is_there(walker, at)) {
            at = (at / page_size + 1) * page_size;
            continue;
        }
        if (chunk_at(walker, at, &block))
            return at;
        at += walker->layout->chunk_step;
    }
    return end;
}

/* Whether the chunk, read again, ends elsewhere now. */
static bool has_changed(struct walker *walker, struct block *chunk)
{
    uint64_t size = chunk->size;

    forget_window(walker);
    return chunk_at(walker, chunk->address, chunk) && chunk->size != size;
}

/* Whether top is to begin here, or to reach up to the end from here on: nobody
 * has written anything to this page, which the heap has just got. */
static bool is_new_top(const struct walker *walker, uint64_t at,
                       const struct block *before)
{
    return !page_is_there(walker, at) &&
           (before == NULL || before->state == block_free);
}

/* A chunk is shown when the one behind it has been found. */
static void walk_chunks(struct walker *walker)
{
    uint64_t at = walker->heap->address + walker->layout->heap_first_chunk;
    uint64_t end = end_of(walker);
    struct block chunk = {0}, next;
    bool has_chunk = false;
    int tries = 0;

    while (at < end) {
        if (chunk_at(walker, at, &next)) {
            if (has_chunk)
                show_chunk(walker, &chunk);
            chunk = next;
            has_chunk = true;
            at += chunk.size;
            walker->ahead = chunk.size < far ? window_size : page_size;
            tries = 0;
        } else if (tries++ < patience && walker->repairs++ < repairs_most) {
            if (has_chunk && has_changed(walker, &chunk))
                at = chunk.address + chunk.size;
            forget_window(walker);
        } else if (is_new_top(walker, at, has_chunk ? &chunk : NULL)) {
            uint64_t start = has_chunk ? chunk.address : at;

            chunk = (struct block){start, end - start, block_top,
                                   start + walker->layout->chunk_header, 0};
            has_chunk = true;
            at = end;
        } else {
            uint64_t sound;

            walker->ahead = window_size;
            sound = next_sound(walker, at);
            if (has_chunk)
                show_chunk(walker, &chunk);
            show(walker, at, sound, block_torn);
            has_chunk = false;
            walker->tears++;
            at = sound;
            tries = 0;
        }
    }
    if (has_chunk)
        show_chunk(walker, &chunk);
}

unsigned heap_walk(const struct heap_view *heap, const struct memory *memory,
                   const struct layout *layout, const unsigned char *states,
                   block_visitor *visit, void *context)
{
    static struct walker walker;

    memset(&walker, 0, offsetof(struct walker, window));
    walker.memory = memory;
    walker.layout = layout;
    walker.heap = heap;
    walker.states = states;
    walker.visit = visit;
    walker.context = context;
    walker.ahead = window_size;
    walker.has_runs = heap->runs != 0 && heap_runs_size(layout) != 0;
    show(&walker, heap->address, heap->address + layout->heap_first_chunk,
         block_overhead);
    walk_chunks(&walker);
    return walker.tears;
}
