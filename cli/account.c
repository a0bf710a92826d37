/*
 * account.c - collects the claims, then goes over them page by page.
 *
 * Lists in the memory of the process are followed for a bounded number of
 * steps, tables are read for their fixed length: what is damaged there makes
 * the account coarser, and is complained of.
 */
#define _GNU_SOURCE
#include "account.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    list_most = 1 << 17, /* steps along one list */
    claims_most = 1 << 21,
    cached_most = 1 << 22,
    slots_most = 1 << 20,
    cache_bytes_most = 1 << 20,
    unknown_doubt = -1
};

struct claim {
    uint64_t start, end;
    enum row row;
    bool is_heap;
    uint8_t arena; /* index of a heap's arena number, as its tag says */
};

/* Where a cached block was found: a thread's index, or a depot. */
enum { in_depot = 0x7fffffff, in_quarantine = 0x7ffffffe };

struct known_block {
    uint64_t mem; /* 0: no entry */
    uint32_t where;
};

struct work {
    struct account *account;
    const struct memory *memory;
    const struct layout *layout;
    const struct account_watcher *watcher;
    struct claim *claims;
    size_t claim_count, claim_room;
    struct known_block *known; /* a hash table */
    size_t known_count, known_room;
    uint64_t *claimed; /* resident bytes of each region that are claimed */
    int64_t *doubtful; /* pages of each region that may be resident after all */
    bool is_out_of_memory;
    /* The heap, and its page, that blocks are now counted for. */
    const struct heap_view *heap;
    const unsigned char *states;
    struct arena_account *arena;
    uint64_t page;
    uint64_t on_page[row_count];
    uint64_t free_in_runs; /* of on_page[row_free] */
};

__attribute__((format(printf, 2, 3))) static void
complain(struct work *work, const char *format, ...)
{
    struct account *account = work->account;
    va_list arguments;

    if (account->complaint_count == complaints_most)
        return;
    va_start(arguments, format);
    vsnprintf(account->complaints[account->complaint_count++], complaint_length,
              format, arguments);
    va_end(arguments);
}

static bool read_at(const struct work *work, uint64_t at, void *to,
                    size_t length)
{
    return memory_read(work->memory, at, to, length);
}

static uint64_t word_at(const struct work *work, uint64_t at)
{
    uint64_t word = 0;

    return read_at(work, at, &word, sizeof word) ? word : 0;
}

static uint64_t page_down(uint64_t at)
{
    return at / page_size * page_size;
}

static uint64_t page_up(uint64_t at)
{
    return page_down(at + page_size - 1);
}

/* ---- claims ------------------------------------------------------------- */

static void claim(struct work *work, uint64_t start, uint64_t end, enum row row)
{
    if (start >= end || end > UINT64_MAX / 2 ||
        work->claim_count == claims_most)
        return;
    if (work->claim_count == work->claim_room) {
        size_t room = work->claim_room ? 2 * work->claim_room : 256;
        struct claim *grown = realloc(work->claims, room * sizeof *grown);

        if (grown == NULL) {
            work->is_out_of_memory = true;
            return;
        }
        work->claims = grown;
        work->claim_room = room;
    }
    work->claims[work->claim_count++] =
        (struct claim){page_down(start), page_up(end), row, false, 0};
}

/* The table of a heap's runs, of which only what was used is there. */
static void claim_runs(struct work *work, uint64_t heap)
{
    uint64_t size = heap_runs_size(work->layout), runs;

    if (size == 0)
        return;
    runs = word_at(work, heap + work->layout->heap_runs);
    if (runs != 0)
        claim(work, runs, runs + size, row_metadata);
}

static void claim_heap(struct work *work, uint64_t address, unsigned tag)
{
    size_t before = work->claim_count;

    claim(work, address, address + ((uint64_t)1 << work->layout->heap_shift),
          row_metadata);
    if (work->claim_count > before) {
        work->claims[before].is_heap = true;
        work->claims[before].arena = (uint8_t)tag;
    }
    claim_runs(work, address);
}

/* One byte for each 64 MiB of address space, nearly all of them on pages that
 * are not there. */
static void claim_heaps(struct work *work)
{
    const struct layout *layout = work->layout;
    uint64_t end = layout->owners + layout->owner_count;
    unsigned char tags[page_size], state;

    for (uint64_t page = page_down(layout->owners); page < end;
         page += page_size) {
        if (memory_pages(work->memory, page, 1, &state) && state == page_absent)
            continue;
        if (!read_at(work, page, tags, page_size))
            continue;
        for (uint64_t i = 0; i < page_size; i++) {
            uint64_t slot = page + i - layout->owners;

            if (page + i >= layout->owners && page + i < end && tags[i] != 0)
                claim_heap(work, slot << layout->heap_shift, tags[i]);
        }
    }
    claim(work, page_up(layout->owners), page_down(end), row_metadata);
}

static void claim_mapped(struct work *work)
{
    const struct layout *layout = work->layout;
    struct account *account = work->account;
    uint64_t array, count, slots;

    if (!layout_has(layout->mapped) || !layout_has(layout->slot_length) ||
        !layout_has(layout->slots_first) || layout->slot_size < 16 ||
        layout->slot_size > 64)
        return;
    array = word_at(work, layout->mapped + layout->mapped_array);
    count = word_at(work, array + layout->slots_count);
    slots = word_at(work, array + layout->slots_first);
    if (count > slots_most) {
        complain(work, "the table of mappings is damaged");
        return;
    }
    if (array != layout->first_slots)
        claim(work, array, slots + count * layout->slot_size, row_metadata);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t slot = slots + i * layout->slot_size;
        uint64_t key = word_at(work, slot + layout->slot_key);
        uint64_t length;

        if (key <= layout->slot_gone)
            continue;
        length = word_at(work, slot + layout->slot_length);
        if (length > (uint64_t)1 << 46)
            continue;
        if ((key & layout->slot_state) != 0) {
            claim(work, key, key + length, row_recent);
            continue;
        }
        claim(work, key, key + length, row_live_mapped);
        account->mapped_blocks++;
        account->mapped_bytes += length;
        if (length > account->largest_mapped)
            account->largest_mapped = length;
    }
}

static void claim_recent(struct work *work)
{
    const struct layout *layout = work->layout;
    uint64_t count;

    if (!layout_has(layout->recent) || !layout_has(layout->kept_length) ||
        layout->recent_most > 4096)
        return;
    count = word_at(work, layout->recent + layout->recent_count);
    for (uint64_t i = 0; i < count && i < layout->recent_most; i++) {
        uint64_t at =
            layout->recent + layout->recent_kept + i * layout->kept_size;
        uint64_t start = word_at(work, at + layout->kept_start);
        uint64_t length = word_at(work, at + layout->kept_length);

        if (length <= (uint64_t)1 << 46)
            claim(work, start, start + length, row_recent);
    }
}

/* ---- blocks in caches and depots ---------------------------------------- */

static size_t known_index(const struct work *work, uint64_t mem)
{
    mem = (mem ^ mem >> 32) * 0xbf58476d1ce4e5b9u;
    return (size_t)(mem ^ mem >> 29) & (work->known_room - 1);
}

static void know_in(struct work *work, struct known_block block)
{
    size_t i = known_index(work, block.mem);

    while (work->known[i].mem != 0 && work->known[i].mem != block.mem)
        i = (i + 1) & (work->known_room - 1);
    work->known_count += work->known[i].mem == 0;
    work->known[i] = block;
}

static void know(struct work *work, uint64_t mem, uint32_t where)
{
    if (mem == 0 || work->known_count >= cached_most)
        return;
    if (2 * (work->known_count + 1) > work->known_room) {
        struct known_block *old = work->known;
        size_t old_room = work->known_room;

        work->known_room = old_room ? 2 * old_room : 1024;
        work->known = calloc(work->known_room, sizeof *work->known);
        if (work->known == NULL) {
            work->known = old;
            work->known_room = old_room;
            work->is_out_of_memory = true;
            return;
        }
        work->known_count = 0;
        for (size_t i = 0; i < old_room; i++)
            if (old[i].mem != 0)
                know_in(work, old[i]);
        free(old);
    }
    know_in(work, (struct known_block){mem, where});
}

/* The state of a cached block that has been met in a heap. */
static enum row row_of_cached(const struct work *work, uint64_t mem,
                              struct thread_account **thread)
{
    *thread = NULL;
    if (work->known_room == 0)
        return row_under_way;
    for (size_t i = known_index(work, mem); work->known[i].mem != 0;
         i = (i + 1) & (work->known_room - 1)) {
        if (work->known[i].mem != mem)
            continue;
        if (work->known[i].where == in_depot)
            return row_depot;
        if (work->known[i].where == in_quarantine)
            return row_quarantine;
        *thread = &work->account->threads[work->known[i].where];
        return row_thread_cache;
    }
    return row_under_way;
}

/* Reads what there is of a mapping; absent pages read as zero. */
static void read_present(const struct work *work, uint64_t at,
                         unsigned char *bytes, size_t length)
{
    unsigned char state;

    memset(bytes, 0, length);
    for (size_t i = 0; i < length; i += page_size) {
        size_t part = length - i < page_size ? length - i : page_size;

        if (!memory_pages(work->memory, page_down(at + i), 1, &state) ||
            state != page_absent)
            read_at(work, at + i, bytes + i, part);
    }
}

static uint16_t place_at(const unsigned char *bytes, uint64_t at)
{
    uint16_t place;

    memcpy(&place, bytes + at, sizeof place);
    return place;
}

/* One thread's cache: for each class an array of blocks, between base and
 * top, which are counted in words from the start of the cache. */
static void know_cache(struct work *work, const unsigned char *bytes,
                       uint32_t index)
{
    const struct layout *layout = work->layout;

    for (uint64_t i = 0; i < layout->class_count; i++) {
        uint64_t base = place_at(bytes, layout->cache_base + 2 * i);
        uint64_t top = place_at(bytes, layout->cache_top + 2 * i);
        uint64_t mem;

        if (top < base || (top + 1) * sizeof mem > layout->cache_map)
            continue;
        for (uint64_t place = base + 1; place <= top; place++) {
            memcpy(&mem, bytes + place * sizeof mem, sizeof mem);
            know(work, mem, index);
        }
    }
}

/* Blocks in the parcel of an outbox are under way; the parcel is metadata. */
static void claim_outboxes(struct work *work, const unsigned char *bytes)
{
    const struct layout *layout = work->layout;

    for (uint64_t i = 0; i < layout->outbox_count; i++) {
        uint64_t next;

        memcpy(&next,
               bytes + layout->cache_outboxes + i * layout->outbox_size +
                   layout->outbox_next,
               sizeof next);
        if (next != 0)
            claim(work, next - 1, next, row_metadata);
    }
}

static bool caches_are_described(const struct layout *layout)
{
    return layout_has(layout->caches) && layout_has(layout->cache_count) &&
           layout_has(layout->cache_base) && layout_has(layout->cache_top) &&
           layout_has(layout->cache_thread) &&
           layout_has(layout->outbox_next) && layout_has(layout->class_count) &&
           layout->cache_map <= cache_bytes_most &&
           layout->cache_count <= 65536 && layout->class_count <= 4096 &&
           layout->cache_top + 2 * layout->class_count < layout->cache_map &&
           layout->cache_base + 2 * layout->class_count < layout->cache_map &&
           layout->cache_thread < layout->cache_map - 4 &&
           layout->outbox_count <= 64 && layout->outbox_size <= 128 &&
           layout->outbox_next < 256 &&
           layout->cache_outboxes < layout->cache_map / 2 &&
           64 * 256 < layout->cache_map / 2;
}

/* R, S, D ... of a thread; 0 when there is no such thread. */
static char thread_state(const struct work *work, uint32_t thread)
{
    char path[64], text[512], *end, state = 0;
    FILE *file;
    size_t got;

    snprintf(path, sizeof path, "/proc/%d/task/%u/stat", work->memory->process,
             thread);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    got = fread(text, 1, sizeof text - 1, file);
    text[got] = '\0';
    end = strrchr(text, ')');
    if (end != NULL && end[1] == ' ')
        state = end[2];
    fclose(file);
    return state;
}

static void note_thread(struct work *work, const unsigned char *bytes,
                        struct thread_account *thread)
{
    const struct layout *layout = work->layout;

    thread->thread = layout_half_at(bytes, layout->cache_thread);
    if (work->memory->process != 0) {
        char state = thread_state(work, thread->thread);

        thread->is_gone = state == 0;
        thread->is_asleep = state == 'S';
    }
}

static void read_caches(struct work *work)
{
    const struct layout *layout = work->layout;
    struct account *account = work->account;
    unsigned char *bytes;

    if (!caches_are_described(layout))
        return;
    bytes = malloc(layout->cache_map);
    account->threads = calloc(layout->cache_count, sizeof *account->threads);
    if (bytes == NULL || account->threads == NULL) {
        work->is_out_of_memory = true;
        free(bytes);
        return;
    }
    for (uint64_t i = 0; i < layout->cache_count; i++) {
        uint64_t cache = word_at(work, layout->caches + i * sizeof cache);
        uint32_t index = (uint32_t)account->thread_count;

        if (cache == 0 || memory_region(work->memory, cache) == NULL)
            continue;
        read_present(work, cache, bytes, layout->cache_map);
        claim(work, cache, cache + layout->cache_map, row_metadata);
        note_thread(work, bytes, &account->threads[index]);
        account->thread_count++;
        know_cache(work, bytes, index);
        claim_outboxes(work, bytes);
    }
    for (uint64_t i = 0;
         layout_has(layout->spares) && i < layout->spare_count && i < 256;
         i++) {
        uint64_t cache = word_at(work, layout->spares + i * sizeof cache);

        if (cache != 0)
            claim(work, cache, cache + layout->cache_map, row_metadata);
    }
    free(bytes);
}

/* ---- arenas, and what they keep outside of the heaps -------------------- */

static void read_magazines(struct work *work, uint64_t magazine, uint32_t where,
                           unsigned *steps)
{
    const struct layout *layout = work->layout;
    uint64_t room =
        (layout->magazine_size - layout->magazine_blocks) / sizeof(uint64_t);
    uint64_t blocks[512];

    while (magazine != 0 && ++*steps < list_most) {
        uint64_t count = word_at(work, magazine + layout->magazine_count);

        if (memory_region(work->memory, magazine) == NULL)
            return;
        claim(work, magazine, magazine + layout->magazine_size, row_metadata);
        if (where == in_depot && count <= room &&
            read_at(work, magazine + layout->magazine_blocks, blocks,
                    count * sizeof *blocks))
            for (uint64_t i = 0; i < count; i++)
                know(work, blocks[i], where);
        magazine = word_at(work, magazine + layout->magazine_next);
    }
}

static void read_depot(struct work *work, uint64_t arena)
{
    const struct layout *layout = work->layout;
    unsigned steps = 0;

    if (!layout_has(layout->arena_full) || !layout_has(layout->arena_spare) ||
        !layout_has(layout->magazine_blocks) || layout->class_count > 4096 ||
        layout->magazine_size > 4096 ||
        layout->magazine_blocks > layout->magazine_size)
        return;
    for (uint64_t i = 0; i < layout->class_count; i++)
        read_magazines(
            work,
            word_at(work, arena + layout->arena_full + i * sizeof(uint64_t)),
            in_depot, &steps);
    read_magazines(work, word_at(work, arena + layout->arena_spare), 0, &steps);
}

static void claim_parcels(struct work *work, uint64_t parcel)
{
    const struct layout *layout = work->layout;

    for (unsigned steps = 0; parcel != 0 && steps < list_most; steps++) {
        if (memory_region(work->memory, parcel) == NULL)
            return;
        claim(work, parcel, parcel + layout->parcel_size, row_metadata);
        parcel = word_at(work, parcel + layout->parcel_next);
    }
}

static void read_pool(struct work *work)
{
    const struct layout *layout = work->layout;
    uint64_t head;

    if (!layout_has(layout->pool) || !layout_has(layout->parcel_next) ||
        layout->pool_count_bits >= 64 || layout->pool_shift >= 64 ||
        layout->parcel_size > 1 << 20)
        return;
    head = word_at(work, layout->pool);
    claim_parcels(work,
                  head >> layout->pool_count_bits << layout->pool_count_bits >>
                      layout->pool_shift);
}

static void read_arena(struct work *work, unsigned number, uint64_t arena)
{
    const struct layout *layout = work->layout;
    struct arena_account *account = &work->account->arenas[number];
    uint32_t threads = 0;

    read_at(work, arena + layout->arena_threads, &threads, sizeof threads);
    account->number = number;
    account->threads = threads;
    if (arena != layout->main_arena && layout->arena_size <= 1 << 20)
        claim(work, arena, arena + layout->arena_size, row_metadata);
    read_depot(work, arena);
    if (layout_has(layout->arena_arrivals))
        claim_parcels(work, word_at(work, arena + layout->arena_arrivals));
    if (layout_has(layout->arena_inbox) && layout_has(layout->inbox_count_mask))
        claim_parcels(work, word_at(work, arena + layout->arena_inbox) &
                                ~layout->inbox_count_mask);
}

static bool read_arenas(struct work *work)
{
    const struct layout *layout = work->layout;
    struct account *account = work->account;
    size_t count = (size_t)layout->arena_count;

    account->arenas =
        calloc(count < 256 ? 256 : count, sizeof *account->arenas);
    if (account->arenas == NULL)
        return false;
    account->arena_count = count;
    for (size_t number = 1; number < count; number++) {
        uint64_t arena = word_at(work, layout->arenas + number * sizeof arena);

        if (arena == 0)
            continue;
        if (memory_region(work->memory, arena) == NULL)
            complain(work, "arena %zu is not in memory", number);
        else
            read_arena(work, (unsigned)number, arena);
    }
    return true;
}

/* Hardened mode: a ring of freed blocks for each arena. */
static void read_quarantine(struct work *work, uint64_t at)
{
    const struct layout *layout = work->layout;
    uint64_t first = word_at(work, at + layout->quarantine_first);
    uint64_t count = word_at(work, at + layout->quarantine_count);

    claim(work, at, at + layout->quarantine_size, row_metadata);
    if (count > layout->quarantine_most) {
        complain(work, "a quarantine is damaged");
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        know(work,
             word_at(work, at + layout->quarantine_blocks +
                               (first + i) % layout->quarantine_most *
                                   sizeof(uint64_t)),
             in_quarantine);
}

static void read_quarantines(struct work *work)
{
    const struct layout *layout = work->layout;

    if (!layout_has(layout->quarantines) ||
        !layout_has(layout->quarantine_first) ||
        !layout_has(layout->quarantine_count) ||
        !layout_has(layout->quarantine_blocks) ||
        layout->quarantine_size > 1 << 24 || layout->quarantine_most == 0 ||
        layout->quarantine_most > 1 << 20)
        return;
    for (uint64_t i = 1; i < layout->arena_count; i++) {
        uint64_t at = word_at(work, layout->quarantines + i * sizeof at);

        if (at != 0 && memory_region(work->memory, at) != NULL)
            read_quarantine(work, at);
    }
}

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

/* Pages that are one row's as a whole. */
static void count_plain(struct work *work, const struct claim *plain)
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

/* By what the program can use of it. */
static void note_live(struct account *account, uint64_t usable, uint64_t taken)
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

static void count_block(void *context, const struct block *block)
{
    struct work *work = context;

    spread(work, block, row_of_block(work, block));
    if (block->run_class != 0)
        note_object(work, block);
    if (work->watcher != NULL && work->watcher->block != NULL)
        work->watcher->block(work->watcher->context, block);
}

static void count_heap(struct work *work, const struct claim *claimed)
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

/* ---- guarded blocks ----------------------------------------------------- */

static bool guard_is_described(const struct layout *layout)
{
    return layout_has(layout->guard_pool) && layout_has(layout->guard_slots) &&
           layout_has(layout->guard_state) && layout_has(layout->guard_bytes) &&
           layout_has(layout->guard_live) && layout->guard_count <= 4096 &&
           layout->guard_size <= 4096;
}

/* Slots have every other page of the pool; a freed one has no memory. */
static void claim_guarded(struct work *work)
{
    const struct layout *layout = work->layout;
    uint64_t pool;

    if (!guard_is_described(layout))
        return;
    pool = word_at(work, layout->guard_pool);
    for (uint64_t i = 0; pool != 0 && i < layout->guard_count; i++) {
        uint64_t slot = layout->guard_slots + i * layout->guard_size;
        uint64_t page = pool + (2 * i + 1) * page_size;
        uint32_t state = 0, bytes = 0;

        read_at(work, slot + layout->guard_state, &state, sizeof state);
        read_at(work, slot + layout->guard_bytes, &bytes, sizeof bytes);
        if (state != layout->guard_live || bytes > page_size) {
            claim(work, page, page + page_size, row_metadata);
            continue;
        }
        claim(work, page, page + page_size, row_guarded);
        note_live(work->account, bytes, page_size);
    }
}

/* ---- all of it ---------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct claim *one = a, *other = b;

    if (one->start != other->start)
        return one->start < other->start ? -1 : 1;
    return other->is_heap - one->is_heap;
}

/* Where claims overlap the earlier one has it; a heap that is damaged in the
 * reading of it has nothing but its 64 MiB. Mappings may lie in those behind a
 * heap that reserved less. */
static void count_claims(struct work *work)
{
    uint64_t end = 0;

    if (work->claim_count > 0)
        qsort(work->claims, work->claim_count, sizeof *work->claims, by_place);
    for (size_t i = 0; i < work->claim_count; i++) {
        struct claim *next = &work->claims[i];

        if (next->start < end && next->is_heap)
            continue;
        if (next->start < end)
            next->start = end;
        if (next->start >= next->end)
            continue;
        if (next->is_heap) {
            uint64_t before = work->account->committed_bytes;

            count_heap(work, next);
            end = next->start + work->account->committed_bytes - before;
        } else {
            count_plain(work, next);
            end = next->end;
        }
    }
}

static enum row row_of_region(const struct region *region)
{
    switch (region->kind) {
    case region_file:
        return row_files;
    case region_stack:
        return row_stacks;
    case region_shared:
        return row_shared;
    default:
        return region->is_stack_like ? row_stacks : row_other;
    }
}

static void count_rest(struct work *work)
{
    struct account *account = work->account;

    for (size_t i = 0; i < work->memory->region_count; i++) {
        const struct region *region = &work->memory->regions[i];
        int64_t rest = (int64_t)(region->resident - work->claimed[i]);

        account->rows[rest >= 0 ? row_of_region(region) : row_changed] += rest;
    }
    account->resident = work->memory->resident;
    account->swapped = work->memory->swapped;
}

bool account_take(struct account *account, const struct memory *memory,
                  const struct layout *layout,
                  const struct account_watcher *watcher)
{
    struct work work = {.account = account,
                        .memory = memory,
                        .layout = layout,
                        .watcher = watcher};
    bool is_done = false;

    memset(account, 0, sizeof *account);
    work.claimed = calloc(memory->region_count + 1, sizeof *work.claimed);
    work.doubtful = calloc(memory->region_count + 1, sizeof *work.doubtful);
    if (work.claimed != NULL && work.doubtful != NULL && read_arenas(&work)) {
        for (size_t i = 0; i < memory->region_count; i++)
            work.doubtful[i] = unknown_doubt;
        if (memory->process != 0 && memory->pagemap < 0)
            complain(&work, "its pagemap may not be read: all memory of the "
                            "allocator counts as resident");
        claim_heaps(&work);
        claim_mapped(&work);
        claim_recent(&work);
        read_caches(&work);
        read_pool(&work);
        read_quarantines(&work);
        claim_guarded(&work);
        count_claims(&work);
        count_rest(&work);
        is_done = !work.is_out_of_memory;
    }
    free(work.claims);
    free(work.known);
    free(work.claimed);
    free(work.doubtful);
    return is_done;
}

void account_free(struct account *account)
{
    free(account->arenas);
    free(account->threads);
    account->arenas = NULL;
    account->threads = NULL;
}
