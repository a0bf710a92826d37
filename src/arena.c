#include "arena.h"

#include "ahead.h"
#include "fatal.h"
#include "options.h"

void arena_initialise(struct arena *arena, unsigned number, unsigned flags)
{
    arena->number = number;
    arena->flags = flags;
    arena->bins.owner = number;
}

void arena_make_common(struct arena *arena)
{
    ptm_assert(!arena->is_private);
    tags_make_common(arena->number);
    for (struct heap *heap = arena->heaps; heap != NULL; heap = heap->next) {
        heap_make_common(heap);
    }
}

/* ---- runs ---------------------------------------------------------------- */

/* Bytes of one class in use for which a run is worth it. */
static size_t run_demand(const struct arena *arena)
{
    return arena->system_bytes < RUN_DEMAND_LARGE_FROM ? RUN_DEMAND
                                                       : RUN_DEMAND_LARGE;
}

static void use_run_class(struct arena *arena, unsigned run_class)
{
    arena->run_classes |= (uint64_t)1 << (run_class - CHUNK_CLASSES);
}

static bool may_use_run_class(unsigned run_class)
{
    return class_size(run_class) <= option_get(OPTION_RUN_MAX);
}

/* Whether one of the classes that could share this one is in use. */
static bool is_any_in_use(const struct arena *arena, unsigned shared)
{
    for (unsigned run_class = shared;
         run_class >= CHUNK_CLASSES && run_class_shared(run_class) == shared;
         run_class--) {
        if (arena_has_run_class(arena, run_class)) {
            return true;
        }
    }
    return false;
}

/* The class that is to serve where another, which is in demand, and what it
 * could share are not in use. Who needs one size only gets that one. */
static unsigned class_to_use(const struct arena *arena, unsigned run_class)
{
    unsigned shared = run_class_shared(run_class);
    return is_any_in_use(arena, shared) && may_use_run_class(shared)
               ? shared
               : run_class;
}

/* The class of objects that serves where this one is wanted; 0: none does. */
static unsigned class_in_use(const struct arena *arena, unsigned run_class)
{
    if (arena_has_run_class(arena, run_class)) {
        return run_class;
    }
    unsigned shared = run_class_shared(run_class);
    return arena_has_run_class(arena, shared) ? shared : 0;
}

/* Each class has runs of its own once those that it shares are many. */
static bool is_shared_enough(const struct arena *arena, unsigned shared)
{
    return arena->runs.counts[shared - CHUNK_CLASSES] >= SHARED_RUNS;
}

unsigned arena_class_for(struct arena *arena, size_t request)
{
    unsigned run_class = run_class_serving(request);
    unsigned chunk_class = class_serving(request_to_chunk_size(request));
    unsigned serving = class_in_use(arena, run_class);
    if (serving == run_class ||
        (serving != 0 && !is_shared_enough(arena, serving))) {
        return serving;
    }
    bool is_wanted =
        serving != 0 ||
        arena->lent[chunk_class] * class_size(chunk_class) >= run_demand(arena);
    if (likely(!is_wanted) || !may_use_run_class(run_class)) {
        return serving != 0 ? serving : chunk_class;
    }
    serving = serving != 0 ? run_class : class_to_use(arena, run_class);
    use_run_class(arena, serving);
    return serving;
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
    return class_in_use(arena, run_class) != 0 &&
           class_in_use(arena, run_class - 1) != 0;
}

/* A chunk in use whose mem is at a multiple of RUN_SIZE, of so many pages; or
 * of fewer, as long as these are there. */
static struct chunk *take_span(struct arena *arena, unsigned *pages)
{
    size_t size = *pages * RUN_SIZE;
    for (unsigned fewer = *pages; fewer > 0; fewer /= 2) {
        struct chunk *chunk = chunks_take_span(arena, fewer * RUN_SIZE);
        if (chunk != NULL) {
            *pages = fewer;
            return chunk;
        }
    }
    if (arena_top_size(arena) >= size + 2 * RUN_SIZE) {
        return chunks_carve_span(arena, size);
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

/* Of those that are empty all but so many pages go back to the heap. */
static void free_spans(struct arena *arena, size_t keep)
{
    while (arena->runs.empty_pages > keep) {
        struct run *first = run_take_empty_span(&arena->runs);
        struct chunk *chunk = mem2chunk(first->start);
        chunk_verify_cached(arena, chunk);
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

/* So many of its objects were given back to the run. */
static inline void note_given(struct arena *arena, struct run *run,
                              size_t given)
{
    run->free = (uint16_t)(run->free + given);
    if (unlikely(run_is_unsettled(run))) {
        settle_run(arena, run);
    }
}

/* Those that lie in the page of the first one; returns how many these are. */
static size_t free_objects_of_page(struct arena *arena, unsigned size_class,
                                   void *const *mems, size_t count,
                                   const char *where)
{
    const struct run_shape *shape = run_shape_of(size_class);
    const char *page = run_page(mems[0]);
    object_verify_run(arena, size_class, mems[0], where);
    struct run *run = heap_run_of(mems[0]);
    heap_note_given(heap_for_ptr(mems[0]), mems[0]);
    size_t i = 0;
    do {
        unsigned index;
        if (unlikely(!run_finds(shape, mems[i], &index))) {
            die_of_object(arena, size_class, mems[i], where,
                          "not the start of a block");
        }
        if (unlikely(!run_give(run, index))) {
            die_of_object(arena, size_class, mems[i], where, "double free");
        }
    } while (++i < count && run_page(mems[i]) == page);
    note_given(arena, run, i);
    return i;
}

void arena_free_objects(struct arena *arena, unsigned size_class,
                        void *const *mems, size_t count, const char *where)
{
    run_count_returned(&arena->runs, size_class, count);
    arena_note_freed(arena, count * class_size(size_class));
    for (size_t i = 0; i < count;) {
        i +=
            free_objects_of_page(arena, size_class, mems + i, count - i, where);
    }
}

void arena_end_watch(struct arena *arena, const void *mem)
{
    run_end_watch(heap_run_of(mem));
    heap_note_given(heap_for_ptr(mem), mem);
    arena_note_freed(arena, RUN_QUARTER);
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

void arena_free_cached(struct arena *arena, void *mem)
{
    struct chunk *chunk = mem2chunk(mem);
    chunk_verify_cached(arena, chunk);
    chunk_verify_next(arena, chunk, "heap");
    _int_free(arena, chunk);
}

/* CACHED chunks side by side, which have proven to be so. */
struct chunk_row {
    struct chunk *first;
    struct chunk *last;
};

/* Whether the chunk is beside the row, which then has it. What is not sound is
 * left to who asks for a reason. */
static bool row_takes(struct chunk_row *row, const struct arena *arena,
                      struct chunk *chunk)
{
    bool is_behind = chunk == chunk_next(row->last);
    if (!is_behind && chunk_next(chunk) != row->first) {
        return false;
    }
    if (unlikely(!chunk_looks_cached(arena, chunk) ||
                 !chunk_prev_inuse(is_behind ? chunk : row->first))) {
        return false;
    }
    *(is_behind ? &row->last : &row->first) = chunk;
    return true;
}

/* Blocks of one class often come in the order in which they were cut, or the
 * other way round: those side by side are merged at once. */
static void free_chunks(struct arena *arena, void *const *mems, size_t count)
{
    size_t i = 0;
    size_t fetched = 0;
    while (i < count) {
        struct chunk *chunk = mem2chunk(mems[i]);
        struct chunk_row row = {chunk, chunk};
        if (i >= fetched) {
            fetched = i + min_size(count - i, AHEAD_CHUNKS);
            fetch_for_merges(mems + i, fetched - i);
        }
        chunk_verify_cached(arena, chunk);
        while (++i < count && row_takes(&row, arena, mem2chunk(mems[i]))) {
        }
        chunk_verify_next(arena, row.last, "heap");
        _int_free_row(arena, row.first, chunk_next(row.last));
    }
}

static void free_cached(struct arena *arena, unsigned size_class,
                        void *const *mems, size_t count)
{
    if (class_is_run(size_class)) {
        arena_free_objects(arena, size_class, mems, count, "heap");
    } else {
        free_chunks(arena, mems, count);
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

struct parcel *arena_first_arrival(struct arena *arena)
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
    struct parcel *parcel = arena_first_arrival(arena);
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

/* Those at the end that are of one class are freed together. */
static size_t free_last_of_parcel(struct arena *arena, struct parcel *parcel,
                                  size_t from)
{
    void *mems[SLOW_STEP];
    size_t count = 0;
    unsigned size_class = entry_class(parcel->entries[parcel->count - 1]);
    while (count < SLOW_STEP && parcel->count > from &&
           entry_class(parcel->entries[parcel->count - 1]) == size_class) {
        mems[count++] = entry_mem(parcel->entries[--parcel->count]);
    }
    count_returned(arena, size_class, count);
    free_cached(arena, size_class, mems, count);
    return count;
}

bool arena_free_parcel(struct arena *arena, struct parcel *parcel, size_t from)
{
    for (size_t freed = 0; freed < SLOW_STEP && parcel->count > from;) {
        freed += free_last_of_parcel(arena, parcel, from);
    }
    return parcel->count > from;
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

/* The kernel has refused: everything that waits for caches is merged. */
static struct chunk *take_after_reclaiming(struct arena *arena, size_t size)
{
    arena_sort_arrivals(arena, SIZE_MAX);
    arena_free_depot(arena, SIZE_MAX);
    free_spans(arena, 0);
    struct chunk *chunk = chunks_take(arena, size);
    return chunk != NULL ? chunk : chunks_take_from_top(arena, size);
}

/* Before a heap grows, some of what the depot holds is freed: it may merge to
 * what is needed. */
struct chunk *_int_malloc(struct arena *arena, size_t size)
{
    struct chunk *chunk = chunks_take(arena, size);
    if (chunk == NULL && arena_top_size(arena) < size + MIN_CHUNK_SIZE &&
        arena_free_depot(arena, SLOW_STEP)) {
        chunk = chunks_take(arena, size);
    }
    if (chunk == NULL) {
        chunk = chunks_take_from_top(arena, size);
    }
    return chunk != NULL ? chunk : take_after_reclaiming(arena, size);
}

/* One chunk of `size` bytes, or several in one piece, up to `most`. */
static struct chunk *take_many(struct arena *arena, size_t size, size_t most)
{
    struct chunk *chunk = chunks_take_many(arena, size, most);
    if (chunk == NULL) {
        chunk = chunks_take_many_from_top(arena, size, most);
    }
    return chunk != NULL ? chunk : _int_malloc(arena, size);
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
        taken += chunk_cut_up(arena, chunk, size, mems + taken);
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

/* ---- alignment --------------------------------------------------------- */

struct chunk *_int_memalign(struct arena *arena, size_t alignment, size_t size)
{
    struct chunk *chunk = _int_malloc(arena, size + alignment + MIN_CHUNK_SIZE);
    return chunk != NULL ? chunk_cut_aligned(arena, chunk, alignment, size)
                         : NULL;
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
            chunks_adopt_heap(arena, heap);
        }
        heap = next;
    }
    arena_trim_top(arena, 0);
}
