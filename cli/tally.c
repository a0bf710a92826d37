/*
 * tally.c - goes over the pages of claims, and over the blocks of heaps, and
 * adds them to the rows.
 */
#define _GNU_SOURCE
#include "work.h"

#include <stdlib.h>
#include <string.h>

/* ---- pages -------------------------------------------------------------- */

/* How many doubtful pages of the region the kernel counts: what it counts less
 * what is there for certain. */
static int64_t doubt_of(const struct work *work, const struct region *region)
{
    unsigned char states[page_size];
    int64_t left = (int64_t)(region->resident / page_size);

    for (uint64_t at = region->start; at < region->end;) {
        uint64_t pages = (region->end - at) / page_size;

        if (pages > page_size)
            pages = page_size;
        if (!memory_pages(work->memory, at, (size_t)pages, states))
            return 0;
        for (uint64_t i = 0; i < pages; i++)
            left -= states[i] == page_present;
        at += pages * page_size;
    }
    return left > 0 ? left : 0;
}

/* The states of pages in one region, without doubt. */
static void read_states(struct work *work, const struct region *region,
                        uint64_t at, size_t count, unsigned char *states)
{
    size_t index = (size_t)(region - work->memory->regions);

    if (!memory_pages(work->memory, at, count, states)) {
        memset(states, page_present, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (states[i] != page_doubtful)
            continue;
        if (work->doubtful[index] == unknown_doubt)
            work->doubtful[index] = doubt_of(work, region);
        states[i] = work->doubtful[index] > 0 ? page_present : page_absent;
        work->doubtful[index] -= work->doubtful[index] > 0;
    }
}

/* The same for any pages; those in no region are absent. */
static void read_all_states(struct work *work, uint64_t start, size_t count,
                            unsigned char *states)
{
    uint64_t end = start + count * page_size;

    memset(states, page_absent, count);
    for (uint64_t at = start; at < end;) {
        const struct region *region = memory_region(work->memory, at);
        uint64_t stop;

        if (region == NULL) {
            at += page_size;
            continue;
        }
        stop = region->end < end ? region->end : end;
        read_states(work, region, at, (size_t)((stop - at) / page_size),
                    states + (at - start) / page_size);
        at = stop;
    }
}

static void count_resident(struct work *work, uint64_t page)
{
    const struct region *region = memory_region(work->memory, page);

    if (region != NULL)
        work->claimed[region - work->memory->regions] += page_size;
}

void count_plain(struct work *work, const struct claim *plain)
{
    unsigned char states[1024];

    for (uint64_t at = plain->start; at < plain->end;) {
        const struct region *region = memory_region(work->memory, at);
        uint64_t stop;

        if (region == NULL)
            return;
        stop = region->end < plain->end ? region->end : plain->end;
        if (stop - at > sizeof states * page_size)
            stop = at + sizeof states * page_size;
        if (region->resident > 0 || work->memory->process == 0) {
            size_t pages = (size_t)((stop - at) / page_size);

            read_states(work, region, at, pages, states);
            for (size_t i = 0; i < pages; i++) {
                if (states[i] != page_present)
                    continue;
                work->account->rows[plain->row] += page_size;
                work->claimed[region - work->memory->regions] += page_size;
            }
        }
        at = stop;
    }
}

/* ---- blocks ------------------------------------------------------------- */

static void add_row(struct work *work, enum row row, uint64_t bytes)
{
    work->account->rows[row] += (int64_t)bytes;
    work->arena->rows[row] += bytes;
}

/* What is free on a page is pinned by what is not. */
static void end_page(struct work *work)
{
    uint64_t *on_page = work->on_page;
    uint64_t index = (work->page - work->heap->address) / page_size;
    bool has_live = on_page[row_live] + on_page[row_torn] > 0;
    bool has_cached = on_page[row_thread_cache] + on_page[row_depot] +
                          on_page[row_under_way] + on_page[row_quarantine] >
                      0;

    if (has_live || has_cached)
        work->account->active_bytes += page_size;
    if (work->states[index] == page_present) {
        enum row pinned = has_live     ? row_pinned
                          : has_cached ? row_pinned_cache
                                       : row_count;

        if (has_live) {
            on_page[row_free] -= work->free_in_runs;
            on_page[row_pinned_run] = work->free_in_runs;
        }
        for (enum row row = 0; row < row_count; row++) {
            bool is_free = row == row_free || row == row_top;

            if (on_page[row] > 0)
                add_row(work, is_free && pinned != row_count ? pinned : row,
                        on_page[row]);
        }
        count_resident(work, work->page);
    }
    memset(on_page, 0, sizeof work->on_page);
    work->free_in_runs = 0;
}

static void spread(struct work *work, const struct block *block, enum row row)
{
    uint64_t start = block->address, end = start + block->size;

    while (start < end) {
        uint64_t page = page_down(start);
        uint64_t stop = page + page_size < end ? page + page_size : end;

        if (page != work->page) {
            end_page(work);
            work->page = page;
        }
        work->on_page[row] += stop - start;
        if (block->run_class != 0 && row == row_free)
            work->free_in_runs += stop - start;
        start = stop;
    }
}

static uint64_t bytes_present(const struct work *work,
                              const struct block *block)
{
    uint64_t start = block->address, end = start + block->size, bytes = 0;

    while (start < end) {
        uint64_t stop = page_down(start) + page_size;

        if (stop > end)
            stop = end;
        if (work->states[(start - work->heap->address) / page_size] ==
            page_present)
            bytes += stop - start;
        start = stop;
    }
    return bytes;
}

/* Every eight bytes up to a KiB, then eight to an octave. */
enum { exact_buckets = 1024 / 8 + 1 };

static unsigned bucket_of(uint64_t size)
{
    unsigned bit;

    if (size <= 1024)
        return (unsigned)((size + 7) / 8);
    bit = 63 - (unsigned)__builtin_clzl(size - 1);
    return exact_buckets + (bit - 10) * 8 +
           (unsigned)(((size - 1) >> (bit - 3)) & 7);
}

uint64_t size_bucket_most(unsigned bucket)
{
    unsigned bit;

    if (bucket < exact_buckets)
        return (uint64_t)bucket * 8;
    bit = 10 + (bucket - exact_buckets) / 8;
    return ((uint64_t)1 << bit) +
           ((uint64_t)((bucket - exact_buckets) % 8 + 1) << (bit - 3));
}

void note_live(struct account *account, uint64_t usable, uint64_t taken)
{
    struct size_bucket *bucket = &account->sizes[bucket_of(usable)];

    bucket->count++;
    bucket->bytes += taken;
    account->live_blocks++;
    account->live_bytes += taken;
}

/* A chunk's size word is not the program's; an object has none. */
static void note_live_block(struct account *account, const struct block *block)
{
    bool is_chunk = block->run_class == 0;

    note_live(account,
              is_chunk ? block->size - sizeof(uint64_t) : block->run_class,
              block->size);
}

static enum row row_of_block(struct work *work, const struct block *block)
{
    struct account *account = work->account;
    struct thread_account *thread;
    enum row row;

    switch (block->state) {
    case block_live:
        note_live_block(account, block);
        return row_live;
    case block_cached:
        account->cached_bytes += block->size;
        row = row_of_cached(work, block->mem, &thread);
        if (thread != NULL) {
            thread->blocks++;
            thread->bytes += bytes_present(work, block);
            thread->arena = work->heap->arena_number;
        }
        return row;
    case block_free:
    case block_top:
        account->free_bytes += block->size;
        return block->state == block_top ? row_top : row_free;
    case block_overhead:
        return row_metadata;
    default:
        return row_torn;
    }
}

static void note_object(struct work *work, const struct block *block)
{
    uint32_t number = block->run_class / 16;
    struct run_account *runs;
    uint64_t bytes;

    if (number >= run_class_count)
        return;
    runs = &work->account->runs[number];
    bytes = bytes_present(work, block);
    runs->size = block->run_class;
    if (block->state == block_live)
        runs->live += bytes;
    else if (block->state == block_cached)
        runs->cached += bytes;
    else
        runs->free += bytes;
}

static void count_block(void *context, const struct block *found)
{
    struct work *work = context;
    struct block met = *found, *block = &met;

    if (work->without_marks && block->run_class != 0 &&
        block->state == block_live && is_known(work, block->mem))
        block->state = block_cached;
    spread(work, block, row_of_block(work, block));
    if (block->run_class != 0)
        note_object(work, block);
    if (work->watcher != NULL && work->watcher->block != NULL)
        work->watcher->block(work->watcher->context, block);
}

void count_heap(struct work *work, const struct claim *claimed)
{
    struct heap_view heap;
    unsigned char *states;
    unsigned tears;

    if (claimed->arena >= work->account->arena_count ||
        !heap_view_read(&heap, work->memory, work->layout, claimed->start,
                        claimed->arena)) {
        complain(work, "heap %#llx is damaged",
                 (unsigned long long)claimed->start);
        return;
    }
    states = malloc(heap.committed / page_size);
    if (states == NULL) {
        work->is_out_of_memory = true;
        return;
    }
    heap.without_marks = work->without_marks;
    read_all_states(work, heap.address, heap.committed / page_size, states);
    work->heap = &heap;
    work->states = states;
    work->page = heap.address;
    work->arena = &work->account->arenas[claimed->arena];
    work->arena->number = claimed->arena;
    work->arena->heaps++;
    work->arena->committed += heap.committed;
    work->arena->reserved += heap.reserved;
    work->account->committed_bytes += heap.committed;
    work->account->reserved_bytes += heap.reserved;
    if (work->watcher != NULL && work->watcher->heap != NULL)
        work->watcher->heap(work->watcher->context, &heap, states);
    tears =
        heap_walk(&heap, work->memory, work->layout, states, count_block, work);
    end_page(work);
    work->arena->tears += tears;
    work->account->tears += tears;
    free(states);
}
