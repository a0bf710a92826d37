/*
 * claims.c - what the allocator has, by its own tables: heaps, mappings,
 * guarded blocks.
 */
#define _GNU_SOURCE
#include "work.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    claims_most = 1 << 21,
    slots_most = 1 << 20,
    profile_table_most = 1 << 28
};

void complain(struct work *work, const char *format, ...)
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

void claim(struct work *work, uint64_t start, uint64_t end, enum row row)
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
void claim_heaps(struct work *work)
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

void claim_mapped(struct work *work)
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

void claim_recent(struct work *work)
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

/* ---- guarded blocks ----------------------------------------------------- */

static bool guard_is_described(const struct layout *layout)
{
    return layout_has(layout->guard_pool) && layout_has(layout->guard_slots) &&
           layout_has(layout->guard_state) && layout_has(layout->guard_bytes) &&
           layout_has(layout->guard_live) && layout->guard_count <= 4096 &&
           layout->guard_size <= 4096;
}

/* Slots have every other page of the pool; a freed one has no memory. */
void claim_guarded(struct work *work)
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

/* ---- a profile ---------------------------------------------------------- */

static void claim_table(struct work *work, uint64_t table)
{
    const struct layout *layout = work->layout;
    uint64_t start = word_at(work, table + layout->table_start);
    uint64_t used = word_at(work, table + layout->table_used);

    if (start != 0 && used <= profile_table_most)
        claim(work, start, start + used, row_metadata);
}

void claim_profile(struct work *work)
{
    const struct layout *layout = work->layout;
    uint64_t buckets;

    if (!layout_has(layout->samples) || !layout_has(layout->stacks) ||
        !layout_has(layout->table_start) || !layout_has(layout->table_used))
        return;
    claim_table(work, layout->samples);
    claim_table(work, layout->stacks);
    if (!layout_has(layout->profile_buckets) ||
        !layout_has(layout->profile_buckets_size) ||
        layout->profile_buckets_size > profile_table_most)
        return;
    buckets = word_at(work, layout->profile_buckets);
    if (buckets != 0)
        claim(work, buckets, buckets + layout->profile_buckets_size,
              row_metadata);
}
