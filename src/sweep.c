#include "sweep.h"

#include "bell.h"
#include "fatal.h"
#include "huge.h"
#include "options.h"
#include "os.h"

/* A free chunk, or top, in terms of its heap. */
struct piece {
    size_t place;               /* of its header */
    struct span_of_pages inner; /* whole pages that may hold garbage */
};

/* Nothing in top was written to behind what was touched. */
static struct piece piece_of_top(const struct heap *heap,
                                 const struct chunk *top)
{
    size_t place = heap_place(heap, top);
    size_t from = round_up(place + MIN_CHUNK_SIZE, os_page_size());
    size_t to = round_up(heap->touched, os_page_size());
    return (struct piece){place, {from, max_size(from, to)}};
}

static struct piece piece_of_chunk(const struct arena *arena,
                                   const struct heap *heap, size_t place)
{
    const struct chunk *chunk = chunk_at(heap, place);
    chunk_verify_free(arena, chunk);
    size_t from = round_up(place + MIN_CHUNK_SIZE, os_page_size());
    size_t to = round_down(place + chunk_size(chunk), os_page_size());
    return (struct piece){place, {from, max_size(from, to)}};
}

/* The next one in the sweep's heap; false when there is none. SWEEP_ALL leaves
 * top to trim_some. */
static bool find_piece(const struct arena *arena, const struct sweep *sweep,
                       struct piece *piece)
{
    const struct heap *heap = sweep->heap;
    size_t end = round_up(heap->touched, PAGES_SIZE);
    size_t found = pages_next_chunk(&heap->pages, sweep->place, end);
    if (found != 0) {
        *piece = piece_of_chunk(arena, heap, found);
        return true;
    }
    const struct chunk *top = arena->top;
    if (top == NULL || heap_for_ptr(top) != heap ||
        sweep->place > heap_place(heap, top) ||
        sweep == &arena->sweeps.of[SWEEP_ALL]) {
        return false;
    }
    *piece = piece_of_top(heap, top);
    return true;
}

/* Pages of the kernel may be larger than those of the map. */
static struct span_of_pages whole_pages(struct span_of_pages span)
{
    return (struct span_of_pages){round_down(span.from, os_page_size()),
                                  round_up(span.to, os_page_size())};
}

/* Returns what is dirty in a piece; false when that is too much for this step,
 * and the next one begins with the same piece. What is refused ends it. */
static bool sweep_piece(struct heap *heap, struct piece piece,
                        enum sweep_kind kind, struct sweep_room *room)
{
    struct span_of_pages rest = piece.inner;
    while (rest.from < rest.to) {
        struct span_of_pages dirty =
            pages_next_dirty(&heap->pages, rest, kind != SWEEP_OLD);
        if (dirty.from == dirty.to) {
            return true;
        }
        dirty = whole_pages(dirty);
        if (room->bytes < os_page_size() || room->calls == 0) {
            return false;
        }
        dirty.to = min_size(
            dirty.to, dirty.from + round_down(room->bytes, os_page_size()));
        room->calls--;
        room->bytes -= dirty.to - dirty.from;
        huge_note_returning(heap, dirty.from, dirty.to);
        if (!os_purge((char *)heap + dirty.from, dirty.to - dirty.from)) {
            room->refused++;
            return true;
        }
        pages_note_returned(&heap->pages, dirty);
        room->returned += dirty.to - dirty.from;
        rest.from = dirty.to;
    }
    return true;
}

static bool has_dirty_pages(const struct heap *heap, struct piece piece)
{
    struct span_of_pages dirty =
        pages_next_dirty(&heap->pages, piece.inner, true);
    return dirty.from < dirty.to;
}

/* What is clean at the end of top counts as never touched. */
static void lower_touched(struct heap *heap, struct piece top)
{
    size_t clean = pages_clean_from(&heap->pages, top.inner);
    if (clean < heap->touched) {
        heap->touched = max_size(clean, top.place + CHUNK_HEADER_SIZE);
    }
}

/* The end of a piece that was looked at whole. What the kernel has refused is
 * no reason to come again. */
static void finish_piece(struct arena *arena, struct sweep *sweep,
                         struct piece piece, bool was_refused)
{
    struct heap *heap = sweep->heap;
    struct chunk *chunk = chunk_at(heap, piece.place);
    bool is_dirty = has_dirty_pages(heap, piece);
    if (is_dirty && !was_refused) {
        __atomic_store_n(&sweep->has_left_some, true, __ATOMIC_RELAXED);
    }
    if (chunk == arena->top) {
        lower_touched(heap, piece);
    } else if (!is_dirty && unlikely(arena_has_empty_heap(chunk))) {
        /* If it goes, the sweep is at the next heap. */
        arena_release_heap(arena, chunk);
    }
}

/* ---- pages of runs --------------------------------------------------------
 */

/* The quarters, a mask, that fill whole pages of the kernel. */
static unsigned whole_quarters(unsigned quarters)
{
    size_t together = os_page_size() / RUN_QUARTER;
    if (together <= 1) {
        return quarters;
    }
    unsigned whole = 0;
    unsigned mask = (1u << min_size(together, RUN_QUARTERS + 1)) - 1;
    for (unsigned at = 0; at + together <= RUN_QUARTERS; at += together) {
        whole |= (quarters >> at & mask) == mask ? mask << at : 0u;
    }
    return whole;
}

/* The lowest of the quarters that follow each other. */
static unsigned first_quarters(unsigned quarters)
{
    unsigned lowest = quarters & -quarters;
    return quarters & ~(quarters + lowest);
}

/* Returns what is free in a page; false when that is too much for this step.
 * What is refused ends it. */
static bool sweep_run(struct heap *heap, struct run *run,
                      struct sweep_room *room)
{
    unsigned idle = whole_quarters(run_idle_quarters(run));
    while (idle != 0) {
        unsigned quarters = first_quarters(idle);
        size_t bytes = (size_t)__builtin_popcount(quarters) * RUN_QUARTER;
        char *start = run->start + lowest_bit(quarters) * RUN_QUARTER;
        size_t place = heap_place(heap, start);
        if (room->bytes < bytes || room->calls == 0) {
            return false;
        }
        room->calls--;
        room->bytes -= bytes;
        run_note_returned(run, quarters);
        huge_note_returning(heap, place, place + bytes);
        if (!os_purge(start, bytes)) {
            run_note_refused(run, quarters);
            room->refused++;
            return true;
        }
        room->returned += bytes;
        idle &= ~quarters;
    }
    return true;
}

/* What was given lately is older from here on. */
static bool is_due(struct sweep *sweep, uint8_t *given, enum sweep_kind kind)
{
    if (kind == SWEEP_OLD && *given == GIVEN_LATELY) {
        *given = GIVEN_BEFORE;
        __atomic_store_n(&sweep->has_left_some, true, __ATOMIC_RELAXED);
        return false;
    }
    return *given != GIVEN_NOTHING;
}

static bool sweep_runs(struct arena *arena, enum sweep_kind kind,
                       struct sweep_room *room)
{
    struct sweep *sweep = &arena->sweeps.of[kind];
    struct heap *heap = sweep->heap;
    size_t end = heap->runs != NULL ? heap->committed / RUN_SIZE : 0;
    for (; sweep->page < end; sweep->page++) {
        uint8_t *given = &heap->page_given[sweep->page];
        if (!is_due(sweep, given, kind)) {
            continue;
        }
        size_t refused = room->refused;
        if (room->chunks == 0 ||
            !sweep_run(heap, &heap->runs[sweep->page], room)) {
            return false;
        }
        room->chunks--;
        /* What was refused is for a later sweep. */
        *given = room->refused > refused ? *given : (uint8_t)GIVEN_NOTHING;
    }
    return true;
}

/* ---- heaps ----------------------------------------------------------------
 */

/* False when there is no room for more in this step. */
static bool sweep_chunks(struct arena *arena, enum sweep_kind kind,
                         struct sweep_room *room)
{
    struct sweep *sweep = &arena->sweeps.of[kind];
    struct heap *heap = sweep->heap;
    struct piece piece;
    while (sweep->heap == heap && find_piece(arena, sweep, &piece)) {
        size_t refused = room->refused;
        sweep->place = piece.place;
        if (room->chunks == 0 || !sweep_piece(heap, piece, kind, room)) {
            return false;
        }
        room->chunks--;
        sweep->place = round_down(piece.place, PAGES_SIZE) + PAGES_SIZE;
        finish_piece(arena, sweep, piece, room->refused > refused);
    }
    return true;
}

static void begin(struct arena *arena, enum sweep_kind kind)
{
    struct sweep *sweep = &arena->sweeps.of[kind];
    sweep->heap = arena->heaps;
    sweep->page = 0;
    sweep->place = 0;
    __atomic_store_n(&sweep->has_left_some, false, __ATOMIC_RELAXED);
    __atomic_store_n(&sweep->is_under_way, true, __ATOMIC_RELAXED);
    if (kind == SWEEP_OLD) {
        __atomic_store_n(&arena->sweeps.freed_seen, arena->sweeps.freed,
                         __ATOMIC_RELAXED);
    }
}

/* What was not old enough is older from here on. */
static void leave_heap(struct sweep *sweep, enum sweep_kind kind)
{
    struct heap *heap = sweep->heap;
    if (kind == SWEEP_OLD) {
        pages_age(&heap->pages, round_up(heap->touched, PAGES_SIZE));
    }
    heap_return_runs(heap);
    sweep->heap = heap->next;
    sweep->page = 0;
    sweep->place = 0;
}

static void finish(struct arena *arena, enum sweep_kind kind)
{
    __atomic_store_n(&arena->sweeps.of[kind].is_under_way, false,
                     __ATOMIC_RELAXED);
    /* What was once wanted back too soon need not be so for ever. */
    if (kind == SWEEP_OLD && ++arena->sweeps.count % ALLOWANCE_SWEEPS == 0) {
        arena->sweeps.allowance /= 2;
    }
}

bool sweep_step(struct arena *arena, enum sweep_kind kind,
                struct sweep_room *room)
{
    struct sweep *sweep = &arena->sweeps.of[kind];
    if (!sweep->is_under_way) {
        begin(arena, kind);
    }
    while (sweep->heap != NULL) {
        struct heap *heap = sweep->heap;
        if (!sweep_runs(arena, kind, room) ||
            !sweep_chunks(arena, kind, room)) {
            return true;
        }
        if (sweep->heap == heap) {
            leave_heap(sweep, kind);
        }
    }
    finish(arena, kind);
    return false;
}

/* Top goes from its end on, so many dirty bytes at a time. */
static bool trim_some(struct arena *arena, size_t pad, struct sweep_room *room)
{
    const struct heap *heap = heap_for_ptr(arena->top);
    size_t dirty = heap->touched - heap_place(heap, arena->top);
    size_t keep = max_size(pad, dirty - min_size(dirty, room->bytes));
    size_t returned = arena_trim_top(arena, keep);
    room->returned += returned;
    return returned > 0 && keep > pad;
}

bool sweep_all_step(struct arena *arena, size_t pad, struct sweep_room *room)
{
    const struct sweep *sweep = &arena->sweeps.of[SWEEP_ALL];
    if (!sweep->is_under_way) {
        arena_free_empty_spans(arena);
    }
    if (arena_top_size(arena) > MIN_CHUNK_SIZE &&
        pad < arena_top_size(arena) - MIN_CHUNK_SIZE && !sweep->is_under_way &&
        trim_some(arena, pad, room)) {
        return true;
    }
    return sweep_step(arena, SWEEP_ALL, room);
}

bool sweep_is_wanted(const struct arena *arena)
{
    const struct sweeps *sweeps = &arena->sweeps;
    return __atomic_load_n(&sweeps->freed, __ATOMIC_RELAXED) !=
               __atomic_load_n(&sweeps->freed_seen, __ATOMIC_RELAXED) ||
           __atomic_load_n(&sweeps->of[SWEEP_OLD].has_left_some,
                           __ATOMIC_RELAXED) ||
           __atomic_load_n(&sweeps->of[SWEEP_OLD].is_under_way,
                           __ATOMIC_RELAXED);
}

/* ---- too much ------------------------------------------------------------ */

static size_t dirty_limit(const struct arena *arena)
{
    size_t limit = arena_live_bytes(arena) / TRIM_LIVE_SHARE;
    limit += arena->sweeps.allowance;
    return limit +
           min_size(option_get(OPTION_TRIM_THRESHOLD), SIZE_MAX - limit);
}

/* Did the last one give back what was wanted again a moment later? */
static void learn(struct sweeps *sweeps)
{
    uint64_t now = os_milliseconds();
    if (now - sweeps->time > RETURN_TOO_SOON) {
        sweeps->returned = 0;
    }
    size_t risen = sweeps->live_high - sweeps->live_then;
    size_t regretted = min_size(risen, sweeps->returned);
    if (regretted > 0) {
        sweeps->allowance = max_size(sweeps->allowance,
                                     regretted + regretted / TRIM_LIVE_SHARE);
        sweeps->returned = 0;
    }
}

/* Live bytes have risen since the last sweep: so they may do so again. How long
 * have they fallen from that peak? The clock is looked at only while there is
 * too much. Without a helper there may be nobody later: but for one who is
 * known to swing. */
static bool may_swing(struct sweeps *sweeps, size_t excess)
{
    size_t risen = sweeps->live_high - sweeps->live_then;
    bool may_wait = bell_has_helper() || sweeps->allowance > 0;
    if (risen <= option_get(OPTION_TRIM_THRESHOLD) || !may_wait) {
        return false;
    }
    uint64_t now = os_milliseconds();
    if (sweeps->excess_from != sweeps->live_high) {
        sweeps->excess_from = sweeps->live_high;
        sweeps->excess_since = now;
    }
    return now - sweeps->excess_since < EXCESS_MILLISECONDS &&
           excess < EXCESS_BYTES_MAX;
}

static bool is_excessive(struct arena *arena)
{
    struct sweeps *sweeps = &arena->sweeps;
    size_t fallen = sweeps->live_high - arena_live_bytes(arena);
    size_t limit = dirty_limit(arena);
    return fallen > limit && !may_swing(sweeps, fallen - limit);
}

static void begin_excess(struct arena *arena)
{
    arena->sweeps.live_then = arena_live_bytes(arena);
}

/* If live bytes have risen meanwhile, that is for the next one to learn from.
 */
static void end_excess(struct arena *arena)
{
    struct sweeps *sweeps = &arena->sweeps;
    size_t live = arena_live_bytes(arena);
    sweeps->live_most = max_size(sweeps->live_most, sweeps->live_high);
    sweeps->live_high = live;
    sweeps->live_then = min_size(sweeps->live_then, live);
    sweeps->time = os_milliseconds();
}

/* What had fallen is wanted again: there is not too much any more. */
static bool has_risen_again(const struct arena *arena)
{
    size_t fallen = arena->sweeps.live_high - arena_live_bytes(arena);
    return fallen < option_get(OPTION_TRIM_THRESHOLD) / 2;
}

void sweep_excess_step(struct arena *arena)
{
    struct sweeps *sweeps = &arena->sweeps;
    struct sweep_room room = {
        .bytes = EXCESS_STEP_BYTES,
        .calls = SWEEP_STEP_CALLS,
        .chunks = SWEEP_STEP_CHUNKS,
    };
    if (!sweeps->of[SWEEP_EXCESS].is_under_way) {
        if (!is_excessive(arena)) {
            return;
        }
        learn(sweeps);
        if (!is_excessive(arena)) {
            return;
        }
        begin_excess(arena);
    } else if (has_risen_again(arena)) {
        finish(arena, SWEEP_EXCESS);
        end_excess(arena);
        return;
    }
    bool more = sweep_step(arena, SWEEP_EXCESS, &room);
    sweeps->returned += room.returned;
    if (!more) {
        arena_trim_top(arena, option_get(OPTION_TOP_PAD));
        end_excess(arena);
    }
}
