#include "inspect.h"

#include "arenas.h"
#include "mapped.h"
#include "os.h"
#include "owner.h"
#include "tags.h"

/* ---- counting ----------------------------------------------------------- */

bool arena_stats(struct arena *arena, struct arena_stats *stats)
{
    *stats = (struct arena_stats){0};
    if (!arena_acquire(arena)) {
        return false;
    }
    stats->system_bytes = arena->system_bytes;
    stats->max_system_bytes = arena->max_system_bytes;
    stats->top_bytes = arena_top_size(arena);
    stats->free_chunks = arena->bins.count + (arena->top != NULL);
    stats->free_bytes = arena->bins.bytes + stats->top_bytes;
    stats->run_blocks = arena->runs.free_objects + arena->runs.spares;
    stats->run_bytes = arena->runs.free_bytes + arena->runs.spares * RUN_SIZE;
    stats->heaps = arena->heap_count;
    for (struct heap *heap = arena->heaps; heap != NULL; heap = heap->next) {
        stats->address_bytes += heap->reserved;
    }
    arena_release(arena);
    return true;
}

void arena_stats_add(struct arena_stats *sum, const struct arena_stats *more)
{
    sum->system_bytes += more->system_bytes;
    sum->max_system_bytes += more->max_system_bytes;
    sum->free_chunks += more->free_chunks;
    sum->free_bytes += more->free_bytes;
    sum->top_bytes += more->top_bytes;
    sum->run_blocks += more->run_blocks;
    sum->run_bytes += more->run_bytes;
    sum->heaps += more->heaps;
    sum->address_bytes += more->address_bytes;
}

bool bin_stats_next(struct arena *arena, unsigned *position,
                    struct bin_stats *stats)
{
    struct chunk *chunk = bins_first_from(&arena->bins, position);
    *stats = (struct bin_stats){.least = SIZE_MAX};
    for (; chunk != NULL; chunk = bins_next(&arena->bins, chunk)) {
        size_t size = chunk_size(chunk);
        stats->least = min_size(stats->least, size);
        stats->most = max_size(stats->most, size);
        stats->bytes += size;
        stats->count++;
    }
    ++*position;
    return stats->count > 0;
}

/* ---- checking ----------------------------------------------------------- */

/* What a walk over the heaps of an arena adds up. */
struct walk {
    struct arena *arena;
    struct damage *damage;
    size_t free_chunks; /* without top */
    size_t free_bytes;
    size_t pages; /* that a heap says are runs */
    size_t runs;
    size_t runs_with_free;
    size_t spares;      /* pages of spans that are no runs ... */
    size_t empty_pages; /* ... and those of spans that have none */
    size_t given;       /* pages of them to which objects were given lately */
    size_t pages_given; /* ... and those of which a heap says so */
    size_t objects;     /* of those runs that are free */
    size_t object_bytes;
    bool met_top;
};

static bool fails(struct walk *walk, const void *address, const char *what)
{
    *walk->damage = (struct damage){
        .what = what, .address = address, .arena = walk->arena->number};
    return false;
}

/* A large chunk is where the map of pages says, and the next one there is
 * behind it. Clean pages read as zero: looks at the first word of each. */
static bool check_pages(struct walk *walk, const struct chunk *chunk,
                        const struct heap *heap)
{
    size_t place = heap_place(heap, chunk);
    size_t end = place + chunk_size(chunk);
    bool is_large = chunk_size(chunk) >= LARGE_FREE_MIN;
    size_t behind = is_large ? place + PAGES_SIZE : place;
    if ((is_large && pages_next_chunk(&heap->pages, place, end) != place) ||
        pages_next_chunk(&heap->pages, round_up(behind, PAGES_SIZE),
                         round_down(end, PAGES_SIZE)) != 0) {
        return fails(walk, chunk2mem(chunk), "map of pages is wrong");
    }
    size_t page = round_up(place + MIN_CHUNK_SIZE, PAGES_SIZE);
    for (; page + PAGES_SIZE <= end; page += PAGES_SIZE) {
        struct span_of_pages span = {page, page + PAGES_SIZE};
        const uint64_t *first = (const uint64_t *)((uintptr_t)heap + page);
        if (pages_clean_from(&heap->pages, span) == page && *first != 0) {
            return fails(walk, first, "page that was given back is not zero");
        }
    }
    return true;
}

static bool check_free_chunk(struct walk *walk, struct chunk *chunk,
                             const struct heap *heap)
{
    if (chunk == walk->arena->top) {
        walk->met_top = true;
        return chunk_next(chunk) == heap_end(heap) ||
               fails(walk, chunk2mem(chunk), "top ends before its heap");
    }
    if (chunk_next(chunk) >= heap_end(heap)) {
        return fails(walk, chunk2mem(chunk), "no fence at the end of a heap");
    }
    if (!chunk_footer_matches(chunk)) {
        return fails(walk, chunk2mem(chunk), "footer differs from size word");
    }
    walk->free_chunks++;
    walk->free_bytes += chunk_size(chunk);
    return check_pages(walk, chunk, heap);
}

static bool check_run(struct walk *walk, const struct run *run,
                      unsigned size_class)
{
    if (size_class >= CLASS_COUNT || run->size_class != size_class ||
        !run_is_sound(run)) {
        return fails(walk, run->start, "run at odds with itself");
    }
    walk->runs++;
    walk->runs_with_free += run->free > 0;
    walk->objects += run->free;
    walk->object_bytes += run->free * class_size(size_class);
    return true;
}

/* What the kernel has reads as zero: looks at the first word. */
static bool check_quarters(struct walk *walk, const struct run *run)
{
    for (unsigned quarter = 0; quarter < RUN_QUARTERS; quarter++) {
        const char *start = run->start + quarter * RUN_QUARTER;
        if ((run->dirty >> quarter & 1) == 0 && *(const uint64_t *)start != 0) {
            return fails(walk, start, "page that was given back is not zero");
        }
    }
    return true;
}

/* One page of a span: a run if its byte says so, else a spare. */
static bool check_page(struct walk *walk, const struct run *first, unsigned at,
                       const char *start, unsigned *used)
{
    const struct run *run = &first[at];
    const struct heap *heap = heap_for_ptr(start);
    size_t page = heap_page_of(start);
    if (run->start != start || run->at != at || (at > 0 && run->pages != 0) ||
        run->byte != &heap->page_class[page]) {
        return fails(walk, start, "page at odds with its span");
    }
    unsigned size_class = block_run_class(start);
    *used += size_class != 0;
    walk->given += heap->page_given[page] != GIVEN_NOTHING;
    if (size_class == 0 && run->objects != 0) {
        return fails(walk, start, "spare with objects");
    }
    if (size_class == 0 && heap_page_byte(heap, start) != 0) {
        return fails(walk, start, "spare that is watched");
    }
    return (size_class == 0 || check_run(walk, run, size_class)) &&
           check_quarters(walk, run);
}

/* A chunk in use that may be a span. What was cut off behind it may have been
 * too little for a chunk. */
static bool check_span(struct walk *walk, const struct chunk *chunk)
{
    const char *mem = chunk2mem(chunk);
    const struct run *first = heap_span_in(chunk);
    if (first == NULL) {
        return true;
    }
    unsigned used = 0;
    if (first->pages > RUN_SPAN_MAX ||
        chunk_size(chunk) - first->pages * RUN_SIZE >= MIN_CHUNK_SIZE ||
        !chunk_is_cached(chunk)) {
        return fails(walk, mem, "span at odds with its chunk");
    }
    for (unsigned at = 0; at < first->pages; at++) {
        if (!check_page(walk, first, at, mem + at * RUN_SIZE, &used)) {
            return false;
        }
    }
    walk->spares += first->pages - used;
    walk->empty_pages += used == 0 ? first->pages : 0u;
    return used == first->used || fails(walk, mem, "span miscounts its runs");
}

static void count_pages(struct walk *walk, const struct heap *heap)
{
    for (size_t page = 0; page < HEAP_PAGES; page++) {
        walk->pages += (heap->page_class[page] & ~RUN_WATCHED) != 0;
        walk->pages_given += heap->page_given[page] != GIVEN_NOTHING;
    }
}

/* One chunk, given whether the one before is free. */
static bool check_chunk(struct walk *walk, struct chunk *chunk,
                        const struct heap *heap, bool previous_is_free)
{
    uint32_t low = chunk_low(chunk);
    size_t room = (uintptr_t)heap_end(heap) - (uintptr_t)chunk;
    const void *mem = chunk2mem(chunk);
    if ((low & (CHUNK_IS_MMAPPED | CHUNK_NON_MAIN_ARENA)) !=
        walk->arena->flags) {
        return fails(walk, mem, "size word with wrong flags");
    }
    if (word_size(low) > room ||
        (word_size(low) < MIN_CHUNK_SIZE && word_size(low) != room)) {
        return fails(walk, mem, "size word with an impossible size");
    }
    uint32_t difference = chunk_seal(chunk) ^ chunk_seal_for(chunk, low);
    if (difference != 0 &&
        (difference != seal_keys.cached || (low & CHUNK_IS_FREE) != 0)) {
        return fails(walk, mem, "size word with a broken seal");
    }
    if (((low & CHUNK_PREV_INUSE) == 0) != previous_is_free) {
        return fails(walk, mem, "P differs from the state of the chunk before");
    }
    if ((low & CHUNK_IS_FREE) == 0) {
        return check_span(walk, chunk);
    }
    if (previous_is_free) {
        return fails(walk, mem, "two free chunks side by side");
    }
    return check_free_chunk(walk, chunk, heap);
}

static bool check_heap(struct walk *walk, const struct heap *heap)
{
    const struct arena *arena = walk->arena;
    if (heap->arena != arena) {
        return fails(walk, heap, "heap does not belong to its arena");
    }
    if (heap->committed > heap->reserved || heap->reserved > HEAP_MAX_SIZE ||
        heap->touched > heap->committed ||
        heap->committed % os_page_size() != 0) {
        return fails(walk, heap, "heap with impossible bounds");
    }
    bool is_free = false;
    struct chunk *chunk = heap_first_chunk(heap);
    while (chunk != heap_end(heap)) {
        if (!check_chunk(walk, chunk, heap, is_free)) {
            return false;
        }
        is_free = chunk_is_free(chunk);
        chunk = chunk_next(chunk);
    }
    count_pages(walk, heap);
    bool has_top = arena->top != NULL && heap_for_ptr(arena->top) == heap;
    return is_free == has_top ||
           fails(walk, heap, "heap ends with neither top nor fence");
}

/* Behind what was touched nothing was written since the kernel gave it: calloc
 * relies on that. Looks at the first word of it. */
static bool check_untouched(struct walk *walk)
{
    const struct arena *arena = walk->arena;
    if (arena->top == NULL) {
        return true;
    }
    const struct heap *heap = heap_for_ptr(arena->top);
    if (heap != arena->heaps) {
        return fails(walk, arena->top, "top is not in the newest heap");
    }
    if ((char *)heap_touched_end(heap) < (char *)chunk2mem(arena->top)) {
        return fails(walk, arena->top, "top's header counts as untouched");
    }
    if (heap->touched == heap->committed) {
        return true;
    }
    const uint64_t *first = heap_touched_end(heap);
    return *first == 0 || fails(walk, first, "untouched memory is not zero");
}

static bool check_heaps(struct walk *walk)
{
    struct arena *arena = walk->arena;
    size_t heaps = 0, committed = 0;
    const struct heap *previous = NULL;
    for (struct heap *heap = arena->heaps; heap != NULL; heap = heap->next) {
        if (heap != heap_for_ptr(heap) || owner_of(heap) != arena->number) {
            return fails(walk, heap, "heap does not belong to its arena");
        }
        if (heaps++ == arena->heap_count || heap->previous != previous) {
            return fails(walk, heap, "list of heaps is broken");
        }
        if (!check_heap(walk, heap)) {
            return false;
        }
        committed += heap->committed;
        previous = heap;
    }
    if (heaps != arena->heap_count || committed != arena->system_bytes ||
        arena->system_bytes > arena->max_system_bytes) {
        return fails(walk, arena, "accounts differ from the heaps");
    }
    if (walk->met_top != (arena->top != NULL)) {
        return fails(walk, arena->top, "top is not a chunk of a heap");
    }
    return check_untouched(walk);
}

/* One bin's list. Bounded by the number of free chunks that the walk over the
 * heaps has met. */
static bool check_bin(struct walk *walk, struct chunk *first, unsigned position,
                      struct walk *found)
{
    const struct chunk *previous = NULL;
    for (struct chunk *chunk = first; chunk != NULL;
         chunk = chunk_next_free(chunk)) {
        if (owner_of(chunk) != walk->arena->number ||
            !heap_contains(heap_for_ptr(chunk), chunk)) {
            return fails(walk, chunk, "link of a bin leads out of the heaps");
        }
        if (++found->free_chunks > walk->free_chunks) {
            return fails(walk, chunk, "bins hold more than the heaps");
        }
        if (!chunk_is_free(chunk) || chunk == walk->arena->top) {
            return fails(walk, chunk2mem(chunk), "chunk in a bin is not free");
        }
        if (bins_position_of(chunk_size(chunk)) != position) {
            return fails(walk, chunk2mem(chunk), "chunk in the wrong bin");
        }
        if (chunk_previous_free(chunk) != previous) {
            return fails(walk, chunk2mem(chunk), "links of a bin disagree");
        }
        found->free_bytes += chunk_size(chunk);
        previous = chunk;
    }
    return true;
}

/* Every free chunk is in a bin: they are as many, and as large, on both
 * sides, and none is in a bin twice since the links agree. */
static bool check_bins(struct walk *walk)
{
    struct bins *bins = &walk->arena->bins;
    struct walk found = {0};
    for (unsigned position = 0; position < BIN_POSITIONS; position++) {
        unsigned at = position;
        struct chunk *first = bins_first_from(bins, &at);
        bool has_chunks = first != NULL && at == position;
        if (has_chunks != bins_map_says(bins, position)) {
            return fails(walk, bins, "bitmap differs from the bins");
        }
        if (has_chunks && !check_bin(walk, first, position, &found)) {
            return false;
        }
    }
    if (!bins_maps_agree(bins)) {
        return fails(walk, bins, "bitmaps differ from each other");
    }
    if (found.free_chunks != walk->free_chunks ||
        found.free_bytes != walk->free_bytes ||
        bins->count != walk->free_chunks || bins->bytes != walk->free_bytes) {
        return fails(walk, bins, "bins differ from the free chunks");
    }
    return true;
}

/* What a list of pages is to hold. */
struct page_list {
    const struct run *first;
    unsigned size_class; /* 0: spares */
    unsigned bucket;
    bool is_empty; /* the first pages of spans without runs */
};

static bool belongs_there(const struct run *run, const struct page_list *list)
{
    if (block_run_class(run->start) != list->size_class) {
        return false;
    }
    if (list->size_class != 0) {
        return run->bucket == list->bucket && run->free > 0;
    }
    if (run->at > heap_page_of(run->start)) {
        return false;
    }
    const struct run *first = run - run->at;
    return first->pages != 0 && (first->used == 0) == list->is_empty &&
           (!list->is_empty || run->at == 0);
}

/* *met counts the pages; `most` bounds it. */
static bool check_page_list(struct walk *walk, const struct page_list *list,
                            size_t *met, size_t most)
{
    const struct run *previous = NULL;
    for (const struct run *run = list->first; run != NULL; run = run->next) {
        *met += list->is_empty ? run->pages : 1;
        if (*met > most || (list->is_empty && run->pages == 0)) {
            return fails(walk, run, "lists hold more runs than there are");
        }
        if (owner_of(run->start) != walk->arena->number ||
            run != heap_run_of(run->start) || run->previous != previous) {
            return fails(walk, run, "list of runs is broken");
        }
        if (!belongs_there(run, list)) {
            return fails(walk, run->start, "run in the wrong list");
        }
        previous = run;
    }
    return true;
}

static bool check_buckets(struct walk *walk)
{
    const struct run_set *runs = &walk->arena->runs;
    size_t met = 0;
    for (unsigned i = 0; i < RUN_CLASSES * RUN_BUCKETS; i++) {
        struct page_list list = {
            .first = runs->buckets[i / RUN_BUCKETS][i % RUN_BUCKETS],
            .size_class = CHUNK_CLASSES + i / RUN_BUCKETS,
            .bucket = i % RUN_BUCKETS,
        };
        if (!check_page_list(walk, &list, &met, walk->runs_with_free)) {
            return false;
        }
    }
    return met == walk->runs_with_free ||
           fails(walk, runs, "lists hold fewer runs than there are");
}

/* Every run with free objects is in the list of its class and its bucket, every
 * other page of a span in one of those for spares. */
static bool check_runs(struct walk *walk)
{
    const struct run_set *runs = &walk->arena->runs;
    struct page_list used = {.first = runs->spare};
    struct page_list unused = {.first = runs->empty, .is_empty = true};
    size_t met = 0, met_empty = 0;
    if (!check_buckets(walk) ||
        !check_page_list(walk, &used, &met, walk->spares) ||
        !check_page_list(walk, &unused, &met_empty, walk->spares)) {
        return false;
    }
    return (walk->pages == walk->runs && walk->pages_given == walk->given &&
            met + met_empty == walk->spares && walk->spares == runs->spares &&
            met_empty == walk->empty_pages && met_empty == runs->empty_pages &&
            runs->count == walk->runs && runs->free_objects == walk->objects &&
            runs->free_bytes == walk->object_bytes) ||
           fails(walk, runs, "runs differ from what is known of them");
}

/* An object that waits for a cache is marked, and not with its run. */
static bool object_is_cached(unsigned size_class, const void *mem)
{
    return block_run_class(mem) == size_class &&
           run_has_object_at(size_class, mem) && object_is_marked(mem) &&
           !run_has_free(heap_run_of(mem), size_class, mem);
}

static bool block_is_cached(const struct walk *walk, unsigned size_class,
                            const void *mem)
{
    const struct chunk *chunk = mem2chunk(mem);
    if (owner_of(chunk) != walk->arena->number ||
        !heap_contains(heap_for_ptr(chunk), chunk)) {
        return false;
    }
    return class_is_run(size_class)
               ? object_is_cached(size_class, mem)
               : block_run_class(mem) == 0 && chunk_is_cached(chunk) &&
                     chunk_size(chunk) >= class_size(size_class);
}

/* The blocks that wait for caches. */
static bool check_depot(struct walk *walk)
{
    const struct depot *depot = &walk->arena->depot;
    size_t blocks = 0, bytes = 0;
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
        if (depot_has(depot, size_class) != (depot->full[size_class] != NULL)) {
            return fails(walk, depot, "map of the depot is wrong");
        }
        for (const struct magazine *magazine = depot->full[size_class];
             magazine != NULL; magazine = magazine->next) {
            if (magazine->count == 0 || magazine->count > MAGAZINE_MAX ||
                blocks > depot->blocks) {
                return fails(walk, magazine, "broken magazine");
            }
            for (size_t i = 0; i < magazine->count; i++) {
                if (!block_is_cached(walk, size_class, magazine->mems[i])) {
                    return fails(walk, magazine->mems[i],
                                 "block in a magazine is not a cached one");
                }
            }
            blocks += magazine->count;
            bytes += magazine->count * class_size(size_class);
        }
    }
    return (blocks == depot->blocks && bytes == depot->bytes) ||
           fails(walk, depot, "depot differs from its magazines");
}

/* What free reads first says what the owner table and the heap say. */
static bool check_tags(struct walk *walk)
{
    unsigned owner = tags_owner(walk->arena->number);
    for (const struct heap *heap = walk->arena->heaps; heap != NULL;
         heap = heap->next) {
        size_t place = tags_place(heap);
        for (size_t i = 0; i < HEAP_PAGES && place + i < TAGS; i++) {
            bool has_tag = i * RUN_SIZE < heap->tagged;
            unsigned tag = has_tag ? tag_of(owner, heap->page_class[i]) : 0;
            if (tag_at(place + i) != tag) {
                return fails(walk, (const char *)heap + i * RUN_SIZE,
                             "tag at odds with its page");
            }
        }
    }
    return true;
}

static bool check_arena(struct arena *arena, struct damage *damage)
{
    struct walk walk = {.arena = arena, .damage = damage};
    if (!arena_acquire(arena)) {
        return true;
    }
    bool sound = check_heaps(&walk) && check_bins(&walk) && check_runs(&walk) &&
                 check_depot(&walk) && check_tags(&walk);
    arena_release(arena);
    return sound;
}

static bool check_mappings(struct damage *damage)
{
    const char *wrong = mapped_inspect(&damage->address);
    damage->what = wrong;
    damage->arena = 0;
    return wrong == NULL;
}

bool inspect_everything(struct damage *damage)
{
    for (unsigned number = 1; number <= arenas_count(); number++) {
        if (!check_arena(arena_numbered(number), damage)) {
            return false;
        }
    }
    return check_mappings(damage);
}
