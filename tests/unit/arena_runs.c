/*
 * arena_runs.c - runs as an arena has them: when small requests get objects,
 * where the spans they lie in come from and go, and what is told of objects
 * that come back and should not. After each step the whole arena is checked.
 */
#define _GNU_SOURCE
#include "own_arena.h"

#include <sys/mman.h>

#include "child.h"
#include "faulty_syscall.h"
#include "rng.h"

enum {
    SMALL = CHUNK_CLASSES + 2, /* 48 bytes */
    LARGE = CLASS_COUNT - 1,   /* 1 KiB */
    PER_LARGE_RUN = 15,
    MANY = 12000,
};

static void *mems[MANY];

static size_t take_class(unsigned size_class, void **to, size_t most)
{
    MUST(lock_acquire(&own.lock));
    size_t taken = arena_take(&own, size_class, to, most);
    lock_release(&own.lock);
    return taken;
}

/* As many calls as it takes. */
static void take_many_of(unsigned size_class, void **to, size_t count)
{
    for (size_t taken = 0; taken < count;) {
        size_t more = take_class(size_class, to + taken,
                                 min_size(count - taken, MAGAZINE_MAX));
        MUST(more > 0);
        taken += more;
    }
}

static void give_class(unsigned size_class, void **from, size_t count)
{
    MUST(lock_acquire(&own.lock));
    arena_give(&own, size_class, from, count);
    lock_release(&own.lock);
}

static void free_objects(unsigned size_class, void **from, size_t count)
{
    MUST(lock_acquire(&own.lock));
    arena_free_objects(&own, size_class, from, count, "heap");
    lock_release(&own.lock);
}

static unsigned class_for(size_t request)
{
    MUST(lock_acquire(&own.lock));
    unsigned size_class = arena_class_for(&own, request);
    lock_release(&own.lock);
    return size_class;
}

static char *page_of(const void *mem)
{
    return (char *)round_down((uintptr_t)mem, RUN_SIZE);
}

static int begin_with_options(void **state)
{
    option_set(OPTION_RUN_MAX, DEFAULT_RUN_MAX);
    faulty_use(NULL);
    return own_begin(state);
}

static int end_sound(void **state)
{
    faulty_use(NULL);
    bool sound = own_is_sound();
    return own_end(state) == 0 && sound ? 0 : -1;
}

/* ---- demand ------------------------------------------------------------- */

static void lend(unsigned size_class, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        arena_note_demand(&own, size_class);
    }
}

/* For each request: chunks until RUN_DEMAND bytes of them are lent. */
static void chunks_serve_until_there_is_demand(void **state)
{
    (void)state;
    for (size_t request = 0; request <= RUN_OBJECT_MAX; request++) {
        unsigned chunk_class = class_serving(request_to_chunk_size(request));
        size_t size = class_size(chunk_class);
        size_t enough = (RUN_DEMAND + size - 1) / size;
        memset(own.lent, 0, sizeof own.lent);
        own.run_classes = 0;
        lend(chunk_class, enough - 1);
        MUST(class_for(request) == chunk_class && own.run_classes == 0);
        lend(chunk_class, 1);
        unsigned run_class = run_class_serving(request);
        MUST(class_for(request) == run_class);
        /* For good, and for no other. */
        MUST(own.run_classes == (uint64_t)1 << (run_class - CHUNK_CLASSES));
        own.lent[chunk_class] = 0;
        MUST(class_for(request) == run_class);
    }
}

static void a_large_arena_has_runs_sooner(void **state)
{
    unsigned chunk_class = class_serving(112);
    (void)state;
    struct chunk *chunk = take(RUN_DEMAND_LARGE_FROM);
    lend(chunk_class, RUN_DEMAND_LARGE / 112);
    assert_int_equal(class_for(104), chunk_class);
    lend(chunk_class, 1);
    assert_int_equal(class_for(104), run_class_serving(104));
    give(chunk);
}

static void what_comes_back_is_no_demand(void **state)
{
    void *some[8];
    unsigned chunk_class = class_serving(112);
    (void)state;
    for (int i = 0; i < 100; i++) {
        take_many_of(chunk_class, some, 8);
        assert_int_equal(class_for(104), chunk_class);
        give_class(chunk_class, some, 8);
        assert_int_equal(own.lent[chunk_class], 0);
    }
    /* More than was lent, as when it was lent by other ways. */
    struct chunk *chunk = take(112);
    chunk_flip_cached(chunk);
    void *mem = chunk2mem(chunk);
    give_class(chunk_class, &mem, 1);
    assert_int_equal(own.lent[chunk_class], 0);
    take_many_of(chunk_class, mems, 100);
    assert_int_equal(own.lent[chunk_class], 100);
    assert_true(class_is_run(class_for(104)));
}

static void an_option_says_which_requests_get_objects(void **state)
{
    static const size_t limits[] = {0, 15, 16, 64, 100, 1024, SIZE_MAX};
    (void)state;
    for (size_t i = 0; i < SMALL_CLASSES + 1; i++) {
        own.lent[i] = 1000;
    }
    for (size_t i = 0; i < count_of(limits); i++) {
        option_set(OPTION_RUN_MAX, limits[i]);
        own.run_classes = 0;
        for (size_t request = 0; request <= RUN_OBJECT_MAX; request++) {
            size_t object = class_size(run_class_serving(request));
            MUST(class_is_run(class_for(request)) == (object <= limits[i]));
        }
    }
}

static size_t size_for(size_t request)
{
    return class_size(class_for(request));
}

/* All that share a class come before it, and lose an eighth at most. */
static void classes_share_a_larger_one(void **state)
{
    (void)state;
    for (unsigned i = CHUNK_CLASSES; i < CLASS_COUNT; i++) {
        unsigned shared = run_class_shared(i);
        size_t size = class_size(i);
        MUST(shared >= i && run_class_shared(shared) == shared);
        MUST(class_size(shared) - size <= size / 8);
        size_t alignment = size & -size;
        MUST(class_size(shared) % alignment == 0);
    }
    assert_int_equal(class_size(run_class_shared(run_class_serving(513))), 576);
    assert_int_equal(class_size(run_class_shared(run_class_serving(257))), 288);
    assert_int_equal(class_size(run_class_shared(run_class_serving(240))), 240);
}

/* The first class of a few gets its own runs, the next ones those of the
 * largest, while these are few. */
static void neighbours_in_demand_share_runs(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMALL_CLASSES + 1; i++) {
        own.lent[i] = 1000;
    }
    own.run_classes = 0;
    assert_int_equal(size_for(528), 528);
    assert_int_equal(size_for(544), 576);
    assert_int_equal(size_for(560), 576);
    assert_int_equal(size_for(528), 528);
    assert_int_equal(size_for(592), 592);
    unsigned shared = run_class_serving(576);
    own.runs.counts[shared - CHUNK_CLASSES] = SHARED_RUNS - 1;
    assert_int_equal(size_for(544), 576);
    own.runs.counts[shared - CHUNK_CLASSES] = SHARED_RUNS;
    assert_int_equal(size_for(544), 544);
    own.runs.counts[shared - CHUNK_CLASSES] = 0;
    assert_int_equal(size_for(544), 544);
    assert_int_equal(size_for(560), 576);
    /* Where the option forbids one of its own, it goes on to share. */
    own.runs.counts[shared - CHUNK_CLASSES] = SHARED_RUNS;
    option_set(OPTION_RUN_MAX, 512);
    assert_int_equal(size_for(560), 576);
    own.runs.counts[shared - CHUNK_CLASSES] = 0;
    option_set(OPTION_RUN_MAX, 320);
    own.run_classes = 0;
    assert_int_equal(size_for(272), 272);
    assert_int_equal(size_for(288), 288);
    own.run_classes = 0;
    option_set(OPTION_RUN_MAX, 560);
    assert_int_equal(size_for(528), 528);
    assert_int_equal(size_for(544), 544);
}

/* Chunks of a class that shares another's runs are not kept either. */
static void chunks_replaced_by_shared_runs_are_not_kept(void **state)
{
    unsigned chunk_class = class_serving(576);
    (void)state;
    take_many_of(chunk_class, mems, 20);
    own.run_classes = (uint64_t)1 << (run_class_serving(576) - CHUNK_CLASSES);
    give_class(chunk_class, mems, 20);
    assert_int_equal(own.depot.blocks, 0);
    assert_true(own_is_sound());
}

/* What is counted is what is there. */
static void runs_are_counted_by_class(void **state)
{
    (void)state;
    size_t taken = 3 * run_objects(SMALL);
    for (size_t i = 0; i < taken; i++) {
        assert_int_equal(take_class(SMALL, mems + i, 1), 1);
    }
    assert_int_equal(own.runs.counts[SMALL - CHUNK_CLASSES], 3);
    for (size_t i = 0; i < taken; i++) {
        give_class(SMALL, mems + i, 1);
    }
    arena_free_depot(&own, SIZE_MAX);
    assert_int_equal(own.runs.counts[SMALL - CHUNK_CLASSES], 0);
    assert_true(own_is_sound());
}

/* Chunks that no small request asks for any more are merged. */
static void replaced_chunks_are_not_kept(void **state)
{
    unsigned chunk_class = class_serving(112);
    (void)state;
    take_many_of(chunk_class, mems, 100);
    give_class(chunk_class, mems, 10);
    assert_int_equal(own.depot.blocks, 10);
    assert_int_equal(class_for(104), run_class_serving(104));
    /* Requests of 89 to 96 bytes still get chunks of this class. */
    give_class(chunk_class, mems + 10, 10);
    assert_int_equal(own.depot.blocks, 20);
    assert_int_equal(class_for(96), run_class_serving(96));
    give_class(chunk_class, mems + 20, 80);
    assert_int_equal(own.depot.blocks, 20);
    assert_true(own_is_sound());
}

/* ---- where runs come from ----------------------------------------------- */

static void a_run_is_in_a_cached_chunk(void **state)
{
    (void)state;
    assert_int_equal(take_class(SMALL, mems, 20), 20);
    char *start = mems[0];
    assert_int_equal(run_offset(start), 0);
    for (size_t i = 0; i < 20; i++) {
        assert_ptr_equal(mems[i], start + 48 * i);
        assert_true(object_is_marked(mems[i]));
        assert_int_equal(block_class(mems[i]), SMALL);
        assert_int_equal(block_usable_size(mems[i]), 48);
        assert_int_equal(block_usable_size(mems[i]), 48);
    }
    const struct chunk *chunk = mem2chunk(start);
    assert_in_range(chunk_size(chunk), RUN_SIZE, RUN_SIZE + 16);
    assert_true(chunk_is_cached(chunk) && !chunk_is_free(chunk));
    assert_int_equal(own.runs.count, 1);
    assert_null(own.zero_from);
    assert_true(own_is_sound());
}

/* 16 bytes, which cannot be a chunk, stay with the run. */
static void a_run_may_be_cut_from_a_little_more(void **state)
{
    (void)state;
    take(MIN_CHUNK_SIZE);
    uintptr_t mem = (uintptr_t)chunk2mem(own.top);
    take(round_up(mem + MIN_CHUNK_SIZE, RUN_SIZE) - mem);
    struct chunk *chunk = take_fenced(RUN_SIZE + 16);
    assert_int_equal(run_offset(chunk2mem(chunk)), 0);
    assert_int_equal(chunk_size(chunk), RUN_SIZE + 16);
    give(chunk);
    assert_int_equal(take_class(SMALL, mems, 1), 1);
    assert_ptr_equal(mems[0], chunk2mem(chunk));
    assert_int_equal(chunk_size(chunk), RUN_SIZE + 16);
    assert_true(own_is_sound());
    free_objects(SMALL, mems, 1);
    assert_true(own_is_sound());
    trim(0);
    assert_true(chunk_is_free(chunk));
}

/* Where free memory has a whole page in it, the heap does not grow. */
static void a_run_is_cut_from_a_free_chunk(void **state)
{
    (void)state;
    struct chunk *chunk = take_fenced(2 * RUN_SIZE + 1008);
    give(chunk);
    const struct chunk *top = own.top;
    assert_int_equal(take_class(LARGE, mems, 1), 1);
    assert_in_range((char *)mems[0], (char *)chunk,
                    (char *)chunk + RUN_SIZE + 1008);
    assert_ptr_equal(own.top, top);
    assert_true(own_is_sound());
}

static void a_class_has_as_many_runs_as_it_needs(void **state)
{
    (void)state;
    take_many_of(LARGE, mems, 10 * PER_LARGE_RUN);
    assert_int_equal(own.runs.count, 10);
    assert_int_equal(own.runs.free_objects, 0);
    assert_true(own_is_sound());
    for (size_t i = 0; i < 10 * PER_LARGE_RUN; i++) {
        object_wipe_mark(mems[i]);
        memset(mems[i], (int)i, 1024);
    }
    assert_true(own_is_sound());
}

/* ---- no memory ---------------------------------------------------------- */

static void without_a_table_there_is_no_run(void **state)
{
    const struct faulty_plan no_table = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    give(take(4 * RUN_SIZE));
    faulty_use(&no_table);
    assert_int_equal(take_class(SMALL, mems, 10), 0);
    assert_int_equal(faulty_calls_refused(), 1);
    faulty_use(NULL);
    assert_null(own.heaps->runs);
    assert_int_equal(own.runs.count, 0);
    assert_true(own_is_empty());
    assert_true(own_is_sound());
    /* There is memory again. */
    assert_int_equal(take_class(SMALL, mems, 10), 10);
}

static void without_memory_there_is_no_run(void **state)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_ALL, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    faulty_use(&no_memory);
    assert_int_equal(take_class(SMALL, mems, 10), 0);
    faulty_use(NULL);
    assert_null(own.heaps);
    assert_int_equal(take_class(SMALL, mems, 10), 10);
}

/* The last of what there was: fewer than were asked for. */
static void what_is_left_is_taken(void **state)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_ALL, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    assert_int_equal(take_class(LARGE, mems, 1), 1);
    faulty_use(&no_memory);
    while (take(MIN_CHUNK_SIZE) != NULL) {
    }
    assert_int_equal(take_class(LARGE, mems, 64), PER_LARGE_RUN - 1);
    assert_int_equal(take_class(LARGE, mems, 64), 0);
    faulty_use(NULL);
    assert_true(own_is_sound());
}

/* Spare runs become chunks before malloc says no. */
static void spares_are_used_up_before_memory_is(void **state)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_ALL, .first = 1, .how_many = FAULTY_FOR_EVER};
    bool found = false;
    (void)state;
    take_many_of(LARGE, mems, PER_LARGE_RUN);
    char *page = page_of(mems[0]);
    free_objects(LARGE, mems, PER_LARGE_RUN);
    assert_int_equal(own.runs.spares, 1);
    faulty_use(&no_memory);
    for (const struct chunk *chunk; (chunk = take(2048)) != NULL;) {
        found |= page_of(chunk2mem(chunk)) == page;
    }
    faulty_use(NULL);
    assert_true(found);
    assert_int_equal(own.runs.spares, 0);
    assert_true(own_is_sound());
}

/* ---- where runs go ------------------------------------------------------ */

static void an_empty_run_serves_another_class(void **state)
{
    (void)state;
    take_many_of(LARGE, mems, PER_LARGE_RUN);
    char *page = page_of(mems[0]);
    struct chunk *chunk = mem2chunk(page);
    free_objects(LARGE, mems, PER_LARGE_RUN - 1);
    assert_int_equal(own.runs.spares, 0);
    assert_true(own_is_sound());
    free_objects(LARGE, mems + PER_LARGE_RUN - 1, 1);
    assert_int_equal(own.runs.spares, 1);
    assert_int_equal(own.runs.count, 0);
    assert_int_equal(own.runs.free_objects, 0);
    assert_int_equal(block_run_class(page), 0);
    /* Nobody takes it for a block of the program. */
    assert_true(chunk_is_cached(chunk));
    assert_true(own_is_sound());
    assert_int_equal(take_class(SMALL, mems, 1), 1);
    assert_ptr_equal(mems[0], page);
    assert_int_equal(block_run_class(page + RUN_SIZE - 1), SMALL);
    assert_int_equal(own.runs.spares, 0);
    assert_true(chunk_is_cached(chunk));
    assert_true(own_is_sound());
}

static size_t empty_pages_kept(void)
{
    return RUN_SPARES + own.runs.count / RUN_SPARE_SHARE;
}

/* Pages of empty spans: two, and one for each 16 runs in use. Others wait for
 * the last run of their span. */
static void few_empty_spans_are_kept(void **state)
{
    enum { RUNS = 64, KEPT = 40 };
    (void)state;
    take_many_of(LARGE, mems, RUNS * PER_LARGE_RUN);
    assert_int_equal(own.runs.count, RUNS);
    for (size_t i = KEPT; i < RUNS; i++) {
        free_objects(LARGE, mems + i * PER_LARGE_RUN, PER_LARGE_RUN);
        assert_true(own.runs.empty_pages <= empty_pages_kept());
    }
    assert_int_equal(own.runs.count, KEPT);
    assert_true(own_is_sound());
    free_objects(LARGE, mems, KEPT * PER_LARGE_RUN);
    assert_true(own.runs.empty_pages <= RUN_SPARES);
    assert_int_equal(own.runs.spares, own.runs.empty_pages);
    assert_true(own_is_sound());
    trim(0);
    assert_int_equal(own.runs.spares, 0);
    assert_true(own_is_empty());
}

/* As many pages as there are. */
static const struct run *span_of(const void *mem)
{
    return run_first_of_span(heap_run_of(mem));
}

/* A depot that may hold many bytes still holds no more than so many blocks. */
static void a_depot_of_small_blocks_is_bounded(void **state)
{
    enum {
        SMALL_ONES = 2 * DEPOT_BLOCKS,
        LARGE_ONE = 32 << 20,
        LIVE = 8 * LARGE_ONE,
    };
    void **smalls = calloc(SMALL_ONES, sizeof *smalls);
    (void)state;
    for (size_t live = 0; live < LIVE; live += LARGE_ONE) {
        MUST(take(LARGE_ONE) != NULL);
    }
    take_many_of(SMALL, smalls, SMALL_ONES);
    size_t most = 0;
    for (size_t at = 0; at < SMALL_ONES; at += 32) {
        give_class(SMALL, smalls + at, 32);
        most = max_size(most, own.depot.blocks);
    }
    assert_true((size_t)SMALL_ONES * class_size(SMALL) <
                LIVE / DEPOT_LIVE_SHARE);
    assert_in_range(most, DEPOT_BLOCKS / 2, DEPOT_BLOCKS + 32);
    MUST(own_is_sound());
    free(smalls);
}

static void spans_grow_with_the_number_of_runs(void **state)
{
    enum { RUNS = 6 * RUN_SPAN_MAX };
    (void)state;
    for (size_t count = 0; count < RUNS; count++) {
        size_t share = own.runs.count / RUN_SPAN_SHARE;
        bool is_new = own.runs.spares == 0;
        void **run = mems + count * PER_LARGE_RUN;
        take_many_of(LARGE, run, PER_LARGE_RUN);
        const struct run *first = span_of(run[0]);
        if (is_new) {
            size_t pages = first->pages;
            assert_ptr_equal(run[0], first->start);
            size_t due = share > 0 ? 1u << highest_bit(share) : 1;
            assert_int_equal(pages, min_size(due, RUN_SPAN_MAX));
            assert_int_equal(own.runs.spares, pages - 1);
            assert_in_range(chunk_size(mem2chunk(first->start)),
                            pages * RUN_SIZE, pages * RUN_SIZE + 16);
        }
        assert_int_equal(own.runs.count, count + 1);
        MUST(own_is_sound());
    }
    assert_int_equal(span_of(mems[RUNS * PER_LARGE_RUN - 1])->pages,
                     RUN_SPAN_MAX);
    for (size_t i = 0; i < RUNS; i++) {
        free_objects(LARGE, mems + i * PER_LARGE_RUN, PER_LARGE_RUN);
        MUST(own_is_sound());
    }
    trim(0);
    assert_true(own_is_empty());
}

/* So many that the next span is to be as large as any. */
static void want_large_spans(void)
{
    enum { RUNS = RUN_SPAN_SHARE * RUN_SPAN_MAX };
    void **next = mems + MANY - PER_LARGE_RUN;
    take_many_of(LARGE, mems, RUNS * PER_LARGE_RUN);
    while (own.runs.spares > 0) {
        take_many_of(LARGE, next, PER_LARGE_RUN);
    }
    MUST(own.runs.count / RUN_SPAN_SHARE >= RUN_SPAN_MAX);
}

/* Half as many pages, until there is room, before top is asked. */
static void a_span_may_be_cut_from_a_smaller_chunk(void **state)
{
    static const unsigned pages[] = {64, 63, 16, 15, 9, 8, 7, 4, 3, 2, 1};
    (void)state;
    for (size_t i = 0; i < count_of(pages); i++) {
        own_end(NULL);
        own_begin(NULL);
        want_large_spans();
        struct chunk *free = take((pages[i] + 1) * RUN_SIZE - 16);
        /* From top. */
        take(4 * RUN_SIZE);
        give(free);
        const struct chunk *top = own.top;
        void *mem;
        assert_int_equal(take_class(SMALL, &mem, 1), 1);
        assert_ptr_equal(own.top, top);
        assert_int_equal(span_of(mem)->pages, 1 << highest_bit(pages[i]));
        assert_true((char *)mem > (char *)free &&
                    (char *)mem < (char *)free + 2 * RUN_SIZE);
        assert_true(own_is_sound());
    }
    /* There is no other. */
    own_end(NULL);
    own_begin(NULL);
    want_large_spans();
    give(take_fenced(RUN_SIZE - 16));
    const struct chunk *top = own.top;
    assert_int_equal(take_class(SMALL, mems, 1), 1);
    assert_int_equal(span_of(mems[0])->pages, RUN_SPAN_MAX);
    assert_true(own.top > top);
}

/* What is cut off on either side of it is whole, and nothing of it counts as
 * written to. */
static void a_span_leaves_the_rest_clean(void **state)
{
    (void)state;
    struct chunk *free = take_fenced(20 * RUN_SIZE);
    fill(free, 1);
    give(free);
    sweep(SWEEP_ALL);
    void *mem;
    assert_int_equal(take_class(SMALL, &mem, 1), 1);
    assert_true(own_is_sound());
    assert_int_equal(sweep(SWEEP_ALL), 0);
    struct chunk *rest = take(16 * RUN_SIZE);
    assert_true((char *)rest > (char *)mem);
    assert_non_null(own.zero_from);
    assert_true(own.zero_from <= (char *)rest + 2 * PAGES_SIZE);
    assert_true(is_zero_behind(rest, own.zero_from));
}

/* One page at a time, from what top has left; and then there is nothing. */
static void a_large_span_that_is_refused_is_a_small_one(void **state)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_ALL, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    want_large_spans();
    size_t count = own.runs.count;
    take(arena_top_size(&own) + RUN_SIZE); /* it grows by more than that */
    while (arena_top_size(&own) >= 8 * RUN_SIZE) {
        take(RUN_SIZE);
    }
    faulty_use(&no_memory);
    size_t pages = 0;
    while (take_class(LARGE, mems, PER_LARGE_RUN) > 0) {
        assert_int_equal(span_of(mems[0])->pages, 1);
        assert_int_equal(own.runs.count, count + ++pages);
        assert_int_equal(own.runs.spares, 0);
        assert_true(own_is_sound());
    }
    assert_in_range(pages, 4, 7);
    assert_true(faulty_calls_refused() > 0);
    assert_true(own_is_sound());
    faulty_use(NULL);
    assert_int_equal(take_class(SMALL, mems, 1), 1);
    assert_int_equal(span_of(mems[0])->pages, RUN_SPAN_MAX);
}

/* A chunk of it is large; no page of the heap says what was there. */
static void nothing_is_left_of_a_span(void **state)
{
    enum { RUNS = 80 };
    (void)state;
    take_many_of(LARGE, mems, RUNS * PER_LARGE_RUN);
    struct heap *heap = own.heaps;
    for (size_t i = 0; i < RUNS; i++) {
        free_objects(LARGE, mems + i * PER_LARGE_RUN, PER_LARGE_RUN);
    }
    trim(0);
    for (size_t page = 0; page < HEAP_PAGES; page++) {
        MUST(heap->page_class[page] == (page == 0 ? RUN_WATCHED : 0));
        MUST(heap->page_given[page] == GIVEN_NOTHING);
        MUST(heap->runs[page].pages == 0 && heap->runs[page].objects == 0);
    }
    /* Nor is anything believed of it. */
    for (size_t i = 0; i < 30; i++) {
        assert_true(owner_of(mems[i]) == OWN_NUMBER);
        assert_int_equal(block_run_class(mems[i]), 0);
    }
    assert_true(own_is_empty());
}

/* One after the other, in a magazine; the run may be empty, and gone, before
 * the last of another run in it comes. */
static void a_magazine_may_have_objects_of_many_runs(void **state)
{
    enum { COUNT = 8 * PER_LARGE_RUN };
    struct rng rng = {5};
    (void)state;
    take_many_of(LARGE, mems, COUNT);
    for (size_t i = COUNT; i-- > 1;) {
        size_t other = rng_below(&rng, i + 1);
        void *mem = mems[i];
        mems[i] = mems[other];
        mems[other] = mem;
    }
    free_objects(LARGE, mems, COUNT);
    assert_int_equal(own.runs.count, 0);
    assert_int_equal(own.runs.free_objects, 0);
    assert_int_equal(own.runs.free_bytes, 0);
    trim(0);
    assert_true(own_is_empty());
}

static void the_depot_keeps_objects(void **state)
{
    (void)state;
    take_many_of(SMALL, mems, 100);
    give_class(SMALL, mems, 100);
    assert_int_equal(own.depot.blocks, 100);
    assert_int_equal(own.depot.bytes, 4800);
    assert_true(own_is_sound());
    void *mem;
    assert_int_equal(take_class(SMALL, &mem, 1), 1);
    assert_ptr_equal(mem, mems[99]);
    assert_true(object_is_marked(mem));
    give_class(SMALL, &mem, 1);
    MUST(lock_acquire(&own.lock));
    assert_true(arena_free_depot(&own, SIZE_MAX));
    lock_release(&own.lock);
    assert_int_equal(own.depot.blocks, 0);
    assert_int_equal(own.runs.spares, 1);
    assert_true(own_is_sound());
}

/* A magazine for which there is no memory. */
static void what_the_depot_cannot_keep_goes_back_to_its_run(void **state)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    take_many_of(SMALL, mems, 100);
    faulty_use(&no_memory);
    give_class(SMALL, mems, 99);
    faulty_use(NULL);
    assert_int_equal(own.depot.blocks, 0);
    assert_int_equal(own.runs.free_objects, 341 - 1);
    assert_true(own_is_sound());
}

/* ---- heaps that end ----------------------------------------------------- */

/* Objects in a heap that is full, and top in another. */
static struct heap *close_a_heap(void)
{
    take_many_of(LARGE, mems, 2 * PER_LARGE_RUN);
    struct heap *heap = own.heaps;
    struct chunk *rest =
        take(HEAP_MAX_SIZE - ((uintptr_t)own.top - (uintptr_t)heap) -
             MIN_CHUNK_SIZE);
    take(HEAP_MAX_SIZE / 2);
    MUST(own.heap_count == 2 && own.heaps != heap);
    give(rest);
    return heap;
}

static bool is_mapped(void *address)
{
    unsigned char in_core;
    return mincore((void *)round_down((uintptr_t)address, os_page_size()), 1,
                   &in_core) == 0;
}

static void a_heap_goes_with_its_runs(void **state)
{
    (void)state;
    struct heap *heap = close_a_heap();
    struct run *runs = heap->runs;
    assert_non_null(runs);
    assert_true(own_is_sound());
    free_objects(LARGE, mems, 2 * PER_LARGE_RUN);
    assert_int_equal(own.runs.spares, 2);
    assert_int_equal(own.heap_count, 2);
    trim(0);
    assert_int_equal(own.heap_count, 1);
    assert_false(is_mapped(heap));
    assert_false(is_mapped(runs));
    assert_true(own_is_sound());
}

/* ---- crimes that are told when an object comes back --------------------- */

static void return_twice(void *unused)
{
    (void)unused;
    free_objects(SMALL, &mems[3], 1);
    free_objects(SMALL, &mems[3], 1);
}

static void return_twice_at_once(void *unused)
{
    void *both[2] = {mems[3], mems[3]};
    (void)unused;
    free_objects(SMALL, both, 2);
}

static void return_after_retiring(void *unused)
{
    (void)unused;
    free_objects(SMALL, mems, 10);
    free_objects(SMALL, &mems[3], 1);
}

static void return_to_another_class(void *unused)
{
    void *others[1];
    (void)unused;
    free_objects(SMALL, mems, 10);
    take_many_of(LARGE, others, 1);
    MUST(page_of(others[0]) == page_of(mems[3]));
    free_objects(SMALL, &mems[3], 1);
}

static void an_object_that_returns_twice_is_told(void **state)
{
    child_body *ways[] = {return_twice, return_twice_at_once,
                          return_after_retiring, return_to_another_class};
    (void)state;
    take_many_of(SMALL, mems, 10);
    for (size_t i = 0; i < count_of(ways); i++) {
        child_must_abort(ways[i], NULL,
                         "ptm: heap: double free: address 0x%zx, size 48, "
                         "arena 200",
                         (size_t)mems[3]);
    }
}

static void return_after_the_heap(void *unused)
{
    (void)unused;
    free_objects(LARGE, mems, 2 * PER_LARGE_RUN);
    trim(0);
    MUST(own.heap_count == 1);
    free_objects(LARGE, &mems[3], 1);
}

/* Nothing of it may be read any more. */
static void an_object_of_a_heap_that_is_gone_is_told(void **state)
{
    (void)state;
    close_a_heap();
    child_must_abort(return_after_the_heap, NULL,
                     "ptm: heap: double free: address 0x%zx, size 1024, "
                     "arena 200",
                     (size_t)mems[3]);
}

/* What lies before a span has overflowed. */
static void return_the_last(void *word)
{
    char *span = page_of(mems[0]);
    overwrite_word(mem2chunk(span), *(uint64_t *)word);
    free_objects(LARGE, mems, PER_LARGE_RUN);
    trim(0);
}

static void a_destroyed_span_is_told(void **state)
{
    uint64_t words[] = {0x4141414141414141, 0, UINT64_MAX, 0xfffffff5};
    (void)state;
    take_many_of(LARGE, mems, PER_LARGE_RUN);
    for (size_t i = 0; i < count_of(words); i++) {
        child_must_abort(return_the_last, &words[i],
                         "ptm: heap: destroyed size word: address 0x%zx, "
                         "word 0x%zx, arena 200",
                         (size_t)page_of(mems[0]), (size_t)words[i]);
    }
}

static void return_middle(void *unused)
{
    void *middle = (char *)mems[3] + 16;
    (void)unused;
    free_objects(SMALL, &middle, 1);
}

static void the_middle_of_an_object_is_told(void **state)
{
    (void)state;
    take_many_of(SMALL, mems, 10);
    child_must_abort(return_middle, NULL,
                     "ptm: heap: not the start of a block: address 0x%zx, "
                     "size 48, arena 200",
                     (size_t)mems[3] + 16);
}

/* ---- everything --------------------------------------------------------- */

struct held {
    void *mem;
    unsigned size_class; /* 0: a chunk */
};

static void step(struct held *held, struct rng *rng)
{
    static const unsigned classes[] = {CHUNK_CLASSES, SMALL, SMALL + 20, LARGE};
    if (held->mem == NULL) {
        unsigned choice = (unsigned)rng_below(rng, 6);
        if (choice < count_of(classes)) {
            held->size_class = classes[choice];
            MUST(take_class(held->size_class, &held->mem, 1) == 1);
            MUST(object_is_marked(held->mem));
        } else {
            held->size_class = 0;
            held->mem = chunk2mem(take(32 + 16 * rng_below(rng, 3000)));
        }
        return;
    }
    if (held->size_class == 0) {
        give(mem2chunk(held->mem));
    } else if (rng_below(rng, 2) == 0) {
        give_class(held->size_class, &held->mem, 1);
    } else {
        free_objects(held->size_class, &held->mem, 1);
    }
    held->mem = NULL;
}

static void random_steps_leave_a_sound_arena(void **state)
{
    static struct held held[3000];
    struct rng rng = {17};
    (void)state;
    for (int i = 0; i < 60000; i++) {
        /* It fills and empties. */
        size_t range = i / 5000 % 2 == 0 ? count_of(held) : 300;
        step(&held[rng_below(&rng, range)], &rng);
        if (i % 500 == 0) {
            MUST(own_is_sound());
        }
    }
    for (size_t i = 0; i < count_of(held); i++) {
        if (held[i].mem != NULL) {
            step(&held[i], &rng);
        }
    }
    MUST(own_is_sound());
    MUST(lock_acquire(&own.lock));
    arena_free_depot(&own, SIZE_MAX);
    lock_release(&own.lock);
    trim(0);
    assert_true(own_is_empty());
}

#define runs_test(name)                                                        \
    cmocka_unit_test_setup_teardown(name, begin_with_options, end_sound)

int main(void)
{
    const struct CMUnitTest tests[] = {
        runs_test(chunks_serve_until_there_is_demand),
        runs_test(a_large_arena_has_runs_sooner),
        runs_test(what_comes_back_is_no_demand),
        runs_test(an_option_says_which_requests_get_objects),
        runs_test(classes_share_a_larger_one),
        runs_test(neighbours_in_demand_share_runs),
        runs_test(chunks_replaced_by_shared_runs_are_not_kept),
        runs_test(runs_are_counted_by_class),
        runs_test(replaced_chunks_are_not_kept),
        runs_test(a_run_is_in_a_cached_chunk),
        runs_test(a_run_may_be_cut_from_a_little_more),
        runs_test(a_run_is_cut_from_a_free_chunk),
        runs_test(a_class_has_as_many_runs_as_it_needs),
        runs_test(without_a_table_there_is_no_run),
        runs_test(without_memory_there_is_no_run),
        runs_test(what_is_left_is_taken),
        runs_test(spares_are_used_up_before_memory_is),
        runs_test(an_empty_run_serves_another_class),
        runs_test(few_empty_spans_are_kept),
        runs_test(a_depot_of_small_blocks_is_bounded),
        runs_test(spans_grow_with_the_number_of_runs),
        runs_test(a_span_may_be_cut_from_a_smaller_chunk),
        runs_test(a_span_leaves_the_rest_clean),
        runs_test(a_large_span_that_is_refused_is_a_small_one),
        runs_test(nothing_is_left_of_a_span),
        runs_test(a_magazine_may_have_objects_of_many_runs),
        runs_test(the_depot_keeps_objects),
        runs_test(what_the_depot_cannot_keep_goes_back_to_its_run),
        runs_test(a_heap_goes_with_its_runs),
        runs_test(an_object_that_returns_twice_is_told),
        runs_test(an_object_of_a_heap_that_is_gone_is_told),
        runs_test(the_middle_of_an_object_is_told),
        runs_test(a_destroyed_span_is_told),
        runs_test(random_steps_leave_a_sound_arena),
    };
    return UNIT_RUN(tests);
}
