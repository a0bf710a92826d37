/*
 * caches.c - what is freed and kept: by threads, by arenas, on its way home, in
 * quarantine. Each such block goes into a table, by its address, for when it is
 * met in a heap; the memory of the lists themselves is claimed.
 *
 * Lists are followed for a bounded number of steps, tables are read for their
 * fixed length.
 */
#define _GNU_SOURCE
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    list_most = 1 << 17, /* steps along one list */
    cached_most = 1 << 22,
    cache_bytes_most = 1 << 20
};

/* Where a cached block was found, if not in a thread's cache. */
enum {
    in_depot = 0x7fffffff,
    in_quarantine = 0x7ffffffe,
    in_parcel = 0x7ffffffd
};

static size_t known_index(const struct work *work, uint64_t mem)
{
    mem = (mem ^ mem >> 32) * 0xbf58476d1ce4e5b9u;
    return (size_t)(mem ^ mem >> 29) & (work->known_room - 1);
}

static size_t place_of(uint64_t mem)
{
    return (size_t)(mem >> places_shift) % places_count;
}

static void know_in(struct work *work, struct known_block block)
{
    size_t i = known_index(work, block.mem);

    while (work->known[i].mem != 0 && work->known[i].mem != block.mem)
        i = (i + 1) & (work->known_room - 1);
    work->known_count += work->known[i].mem == 0;
    work->known[i] = block;
    work->places[place_of(block.mem) / 8] |=
        (unsigned char)(1 << place_of(block.mem) % 8);
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

static bool parcels_are_described(const struct layout *layout)
{
    return layout_has(layout->parcel_next) &&
           layout_has(layout->parcel_count) &&
           layout_has(layout->parcel_entries) &&
           layout_has(layout->parcel_class_shift) &&
           layout->parcel_class_shift < 64 && layout->parcel_size <= 4096 &&
           layout->parcel_entries <= layout->parcel_size &&
           layout->parcel_size % sizeof(uint64_t) == 0 &&
           layout->parcel_size > 0;
}

/* What is in no list was freed after they were read, or is on its way from one
 * to the other. It is counted to those that the program fills as it goes on. */
static enum row row_of_unknown(const struct work *work)
{
    if (work->has_quarantines)
        return row_quarantine;
    return parcels_are_described(work->layout) ? row_thread_cache
                                               : row_under_way;
}

static const struct known_block *find_known(const struct work *work,
                                            uint64_t mem)
{
    if (!(work->places[place_of(mem) / 8] >> place_of(mem) % 8 & 1))
        return NULL;
    for (size_t i = known_index(work, mem); work->known[i].mem != 0;
         i = (i + 1) & (work->known_room - 1))
        if (work->known[i].mem == mem)
            return &work->known[i];
    return NULL;
}

bool is_known(const struct work *work, uint64_t mem)
{
    return find_known(work, mem) != NULL;
}

enum row row_of_cached(const struct work *work, uint64_t mem,
                       struct thread_account **thread)
{
    const struct known_block *found = find_known(work, mem);

    *thread = NULL;
    if (found == NULL)
        return row_of_unknown(work);
    switch (found->where) {
    case in_depot:
        return row_depot;
    case in_quarantine:
        return row_quarantine;
    case in_parcel:
        return row_under_way;
    default:
        *thread = &work->account->threads[found->where];
        return row_thread_cache;
    }
}

/* The entries of a parcel from the first on: addresses, with classes above. */
static void know_parcel(struct work *work, uint64_t parcel, uint64_t count)
{
    const struct layout *layout = work->layout;
    uint64_t entries[4096 / sizeof(uint64_t)];
    uint64_t room =
        (layout->parcel_size - layout->parcel_entries) / sizeof *entries;

    if (count > room || !read_at(work, parcel + layout->parcel_entries, entries,
                                 count * sizeof *entries))
        return;
    for (uint64_t i = 0; i < count; i++)
        know(work,
             entries[i] & (((uint64_t)1 << layout->parcel_class_shift) - 1),
             in_parcel);
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
        if (next == 0)
            continue;
        claim(work, next - 1, next, row_metadata);
        if (parcels_are_described(layout)) {
            uint64_t parcel =
                (next - 1) / layout->parcel_size * layout->parcel_size;

            know_parcel(work, parcel,
                        (next - parcel - layout->parcel_entries) /
                            sizeof(uint64_t));
        }
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

void read_caches(struct work *work)
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

static bool depots_are_described(const struct layout *layout)
{
    return layout_has(layout->arena_full) && layout_has(layout->arena_spare) &&
           layout_has(layout->magazine_blocks) && layout->class_count <= 4096 &&
           layout->magazine_size <= 4096 &&
           layout->magazine_blocks <= layout->magazine_size;
}

static void read_depot(struct work *work, uint64_t arena)
{
    const struct layout *layout = work->layout;
    unsigned steps = 0;

    if (!depots_are_described(layout))
        return;
    for (uint64_t i = 0; i < layout->class_count; i++)
        read_magazines(
            work,
            word_at(work, arena + layout->arena_full + i * sizeof(uint64_t)),
            in_depot, &steps);
    read_magazines(work, word_at(work, arena + layout->arena_spare), 0, &steps);
}

static void claim_parcels(struct work *work, uint64_t parcel, bool has_blocks)
{
    const struct layout *layout = work->layout;

    for (unsigned steps = 0; parcel != 0 && steps < list_most; steps++) {
        if (memory_region(work->memory, parcel) == NULL)
            return;
        claim(work, parcel, parcel + layout->parcel_size, row_metadata);
        if (has_blocks)
            know_parcel(work, parcel,
                        word_at(work, parcel + layout->parcel_count));
        parcel = word_at(work, parcel + layout->parcel_next);
    }
}

void read_pool(struct work *work)
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
                      layout->pool_shift,
                  false);
}

static void read_arena(struct work *work, unsigned number, uint64_t arena)
{
    const struct layout *layout = work->layout;
    struct arena_account *account = &work->account->arenas[number];
    bool has_blocks = parcels_are_described(layout);
    uint32_t threads = 0;

    read_at(work, arena + layout->arena_threads, &threads, sizeof threads);
    account->number = number;
    account->threads = threads;
    if (arena != layout->main_arena && layout->arena_size <= 1 << 20)
        claim(work, arena, arena + layout->arena_size, row_metadata);
    read_depot(work, arena);
    if (layout_has(layout->arena_arrivals))
        claim_parcels(work, word_at(work, arena + layout->arena_arrivals),
                      has_blocks);
    if (layout_has(layout->arena_inbox) && layout_has(layout->inbox_count_mask))
        claim_parcels(work,
                      word_at(work, arena + layout->arena_inbox) &
                          ~layout->inbox_count_mask,
                      has_blocks);
}

bool read_arenas(struct work *work)
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

/* Hardened mode: a ring of freed blocks for each arena, and each thread. */
static void read_quarantine(struct work *work, uint64_t at)
{
    const struct layout *layout = work->layout;
    uint64_t first = word_at(work, at + layout->quarantine_first);
    uint64_t count = word_at(work, at + layout->quarantine_count);

    claim(work, at, at + layout->quarantine_size, row_metadata);
    work->has_quarantines = true;
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

void read_quarantines(struct work *work)
{
    const struct layout *layout = work->layout;

    if (!layout_has(layout->quarantines) ||
        !layout_has(layout->quarantine_first) ||
        !layout_has(layout->quarantine_count) ||
        !layout_has(layout->quarantine_blocks) ||
        !layout_has(layout->quarantines_count) ||
        layout->quarantine_size > 1 << 24 || layout->quarantine_most == 0 ||
        layout->quarantine_most > 1 << 20 ||
        layout->quarantines_count > 1 << 20)
        return;
    for (uint64_t i = 1; i < layout->quarantines_count; i++) {
        uint64_t at = word_at(work, layout->quarantines + i * sizeof at);

        if (at != 0 && memory_region(work->memory, at) != NULL)
            read_quarantine(work, at);
    }
}

bool lists_are_whole(const struct work *work)
{
    return caches_are_described(work->layout) &&
           depots_are_described(work->layout) &&
           parcels_are_described(work->layout) &&
           work->known_count < cached_most && !work->is_out_of_memory;
}
