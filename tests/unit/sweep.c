/*
 * sweep.c - which pages of free memory go back to the kernel, and when. After
 * each step the whole arena is checked. The clock is the test's, and so is what
 * the sweeps take for the size of a page: at least the kernel's own.
 */
#define _GNU_SOURCE
#include "own_arena.h"

#include <sys/mman.h>

#include "bell.h"
#include "faulty_syscall.h"
#include "rng.h"

enum {
    CHUNK = 1 << 20,
};

static uint64_t now = 1000000;

uint64_t __wrap_os_milliseconds(void);
uint64_t __wrap_os_milliseconds(void)
{
    return now;
}

static size_t page_size;

size_t __real_os_page_size(void);
size_t __wrap_os_page_size(void);
size_t __wrap_os_page_size(void)
{
    return max_size(page_size, __real_os_page_size());
}

/* Bytes of a chunk that are in memory, by whole pages. (What the walk over the
 * arena has read counts: it is called later.) */
static size_t resident(const struct chunk *chunk, size_t size)
{
    size_t page = __real_os_page_size(), bytes = 0;
    uintptr_t at = round_up((uintptr_t)chunk, page);
    for (; at + page <= (uintptr_t)chunk + size; at += page) {
        unsigned char in_core;
        MUST(mincore((void *)at, page, &in_core) == 0);
        bytes += in_core & 1 ? page : 0;
    }
    return bytes;
}

/* A chunk that was written to, and another behind it. */
static struct chunk *take_dirty(size_t size)
{
    struct chunk *chunk = take(size);
    fill(chunk, 1);
    take(64);
    return chunk;
}

static void what_is_old_goes_with_the_second_sweep(void **state)
{
    (void)state;
    struct chunk *chunk = take_dirty(CHUNK);
    give(chunk);
    assert_true(sweep_is_wanted(&own));
    assert_int_equal(sweep(SWEEP_OLD), 0);
    assert_true(sweep_is_wanted(&own));
    assert_true(resident(chunk, CHUNK) > CHUNK - 3 * os_page_size());
    size_t returned = sweep(SWEEP_OLD);
    assert_in_range(returned, CHUNK - 3 * os_page_size(), CHUNK);
    assert_true(resident(chunk, CHUNK) <= os_page_size());
    assert_true(own_is_sound());
    /* And then there is nothing more to do. */
    assert_false(sweep_is_wanted(&own));
    assert_int_equal(sweep(SWEEP_OLD), 0);
    assert_int_equal(sweep(SWEEP_ALL), 0);
}

static void top_goes_too(void **state)
{
    (void)state;
    struct chunk *chunk = take(CHUNK);
    fill(chunk, 1);
    size_t system = own.system_bytes;
    give(chunk);
    assert_ptr_equal(own.top, chunk);
    sweep(SWEEP_OLD);
    assert_in_range(sweep(SWEEP_OLD), CHUNK - 2 * os_page_size(), CHUNK);
    assert_int_equal(own.system_bytes, system);
    assert_true(own_is_sound());
    chunk = take(CHUNK);
    assert_true((uintptr_t)own.zero_from <=
                round_up((uintptr_t)chunk2mem(chunk), os_page_size()));
    assert_true(is_zero_behind(chunk, own.zero_from));
}

/* A part that is used again and again, in a large free chunk. */
static void what_is_used_meanwhile_stays(void **state)
{
    (void)state;
    struct chunk *chunk = take_dirty(CHUNK);
    give(chunk);
    for (int i = 0; i < 3; i++) {
        struct chunk *part = take(CHUNK / 2);
        assert_ptr_equal(part, chunk);
        fill(part, 2);
        give(part);
        sweep(SWEEP_OLD);
    }
    assert_true(resident(chunk, CHUNK / 2) > CHUNK / 2 - 3 * os_page_size());
    assert_true(resident(chunk_at(chunk, CHUNK / 2), CHUNK / 2) <=
                2 * os_page_size());
    assert_true(own_is_sound());
}

static void what_was_given_back_is_known_to_be_zero(void **state)
{
    (void)state;
    struct chunk *chunk = take_dirty(CHUNK);
    give(chunk);
    sweep(SWEEP_ALL);
    struct chunk *part = take(100000);
    assert_ptr_equal(part, chunk);
    assert_non_null(own.zero_from);
    assert_true((uintptr_t)own.zero_from <=
                round_up((uintptr_t)chunk2mem(part), PAGES_SIZE));
    assert_true(is_zero_behind(part, own.zero_from));
    fill(part, 3);
    give(part);
    /* The part is dirty, the rest is not; the end of it is never known. */
    part = take(200000);
    assert_non_null(own.zero_from);
    assert_true((uintptr_t)own.zero_from >= (uintptr_t)chunk + 100000);
    assert_true(is_zero_behind(part, own.zero_from));
    give(part);
    part = take(CHUNK);
    assert_ptr_equal(part, chunk);
    assert_null(own.zero_from);
    assert_true(own_is_sound());
}

/* Headers of chunks that came and went inside of clean pages. */
static void headers_that_are_merged_are_dirty(void **state)
{
    struct rng rng = {7};
    struct chunk *parts[20];
    (void)state;
    struct chunk *chunk = take_dirty(CHUNK);
    give(chunk);
    for (int round = 0; round < 200; round++) {
        sweep(SWEEP_ALL);
        size_t count = 0;
        while (count < count_of(parts)) {
            size_t size = 32 + 16 * rng_below(&rng, 3000);
            parts[count++] =
                take(rng_below(&rng, 2) ? round_up(size, 4096) : size);
        }
        while (count > 0) {
            give(parts[--count]);
        }
        struct chunk *part = take(CHUNK - 8192);
        assert_true(own.zero_from == NULL ||
                    is_zero_behind(part, own.zero_from));
        give(part);
        assert_true(own_is_sound());
    }
}

static void what_the_kernel_refuses_is_tried_again_later(void **state)
{
    const struct faulty_plan refuse = {
        .kinds = FAULTY_MADVISE, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    struct chunk *chunk = take_dirty(CHUNK);
    give(chunk);
    sweep(SWEEP_OLD);
    faulty_use(&refuse);
    assert_int_equal(sweep(SWEEP_OLD), 0);
    assert_true(faulty_calls_refused() > 0);
    faulty_use(NULL);
    assert_true(own_is_sound());
    /* Not for its own sake: a kernel that refuses always would be asked for
     * ever. */
    assert_false(sweep_is_wanted(&own));
    assert_true(sweep(SWEEP_OLD) > 0);
    assert_true(own_is_sound());
}

/* ---- steps --------------------------------------------------------------- */

static bool step(size_t bytes, size_t calls, size_t chunks, size_t *returned)
{
    struct sweep_room room = {bytes, calls, chunks, 0, 0};
    MUST(lock_acquire(&own.lock));
    bool more = sweep_step(&own, SWEEP_ALL, &room);
    lock_release(&own.lock);
    *returned = room.returned;
    return more;
}

static void a_step_is_bounded(void **state)
{
    size_t page = os_page_size(), returned, steps = 0, all = 0;
    struct chunk *chunks[10];
    (void)state;
    for (size_t i = 0; i < count_of(chunks); i++) {
        chunks[i] = take_dirty(10 * page);
    }
    for (size_t i = 0; i < count_of(chunks); i++) {
        give(chunks[i]);
    }
    assert_true(step(3 * page, 100, 100, &returned));
    assert_int_equal(returned, 3 * page);
    assert_true(step(1000 * page, 1, 100, &returned));
    assert_in_range(returned, 1, 10 * page);
    assert_true(step(1000 * page, 100, 0, &returned));
    assert_int_equal(returned, 0);
    while (step(1000 * page, 100, 2, &returned)) {
        steps++;
        all += returned;
        assert_true(own_is_sound());
    }
    assert_in_range(steps, 3, 6);
    assert_in_range(all, 60 * page, 90 * page);
}

/* Between two steps everything changes. */
static void a_sweep_survives_what_happens_meanwhile(void **state)
{
    struct rng rng = {11};
    static struct chunk *chunks[60];
    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t returned;
        size_t i = rng_below(&rng, count_of(chunks));
        if (chunks[i] != NULL) {
            give(chunks[i]);
            chunks[i] = NULL;
        } else {
            size_t most = rng_below(&rng, 20) == 0 ? 40 << 20 : 60000;
            chunks[i] = take(round_up(48 + rng_below(&rng, most), 16));
            memset(chunk2mem(chunks[i]), 1,
                   min_size(usable_size_of(chunk_size(chunks[i])), 20000));
        }
        step(20000, 2, 3, &returned);
        if (round % 7 == 0) {
            sweep(SWEEP_OLD);
        }
        if (round % 10 == 0) {
            MUST(own_is_sound());
        }
    }
    for (size_t i = 0; i < count_of(chunks); i++) {
        if (chunks[i] != NULL) {
            give(chunks[i]);
            chunks[i] = NULL;
        }
    }
    sweep(SWEEP_ALL);
    sweep(SWEEP_ALL);
    assert_true(own_is_sound());
    assert_true(own_is_empty());
}

/* ---- quarters of pages of runs ------------------------------------------- */

enum {
    CLASS = CHUNK_CLASSES + 3, /* of 64 bytes, 64 in a quarter */
    SIZE = 64,
    PER_QUARTER = RUN_QUARTER / SIZE,
    PER_PAGE = RUN_USABLE / SIZE,
};

static char *objects[16 * PER_PAGE];

static void take_objects(char **to, size_t count)
{
    MUST(lock_acquire(&own.lock));
    for (size_t taken = 0; taken < count;) {
        void *mems[MAGAZINE_MAX];
        size_t more = arena_take(&own, CLASS, mems,
                                 min_size(count - taken, MAGAZINE_MAX));
        MUST(more > 0);
        for (size_t i = 0; i < more; i++) {
            MUST(object_is_marked(mems[i]));
            to[taken++] = memset(mems[i], 0x5a, SIZE);
        }
    }
    arena_note_live(&own);
    lock_release(&own.lock);
}

static void give_objects(char **from, size_t count)
{
    MUST(lock_acquire(&own.lock));
    for (size_t i = 0; i < count; i++) {
        void *mem = from[i];
        for (size_t byte = 0; byte < SIZE; byte++) {
            MUST(from[i][byte] == 0x5a);
        }
        object_set_mark(mem);
        arena_free_objects(&own, CLASS, &mem, 1, "heap");
    }
    do {
        sweep_excess(&own);
    } while (own.sweeps.of[SWEEP_EXCESS].is_under_way);
    lock_release(&own.lock);
}

/* A span of so many pages, all of whose objects are in use, beside which
 * nothing is to be given back. */
static void fill_span(unsigned pages)
{
    struct chunk *chunk = take_aligned(RUN_SIZE, pages * RUN_SIZE);
    char *start = chunk2mem(chunk);
    struct heap *heap = heap_for_ptr(start);
    MUST(heap_prepare_runs(heap));
    chunk_flip_cached(chunk);
    run_add_span(&own.runs, heap_run_of(start),
                 &heap->page_class[heap_page_of(start)], start, pages);
    take_objects(objects, pages * PER_PAGE);
    MUST(objects[0] == start && own.runs.spares == 0);
    for (int i = 0; i < 3; i++) {
        sweep(SWEEP_OLD);
    }
    MUST(!sweep_is_wanted(&own));
}

/* By whose first page the others follow. */
static char *object_at(size_t page, size_t index)
{
    return objects[page * PER_PAGE + index];
}

static void give_quarters(size_t page, size_t from, size_t to)
{
    give_objects(&objects[page * PER_PAGE + from * PER_QUARTER],
                 (to - from) * PER_QUARTER);
}

/* The quarters of a page that are in memory: this, and nothing but the kernel,
 * is asked before anything is read. */
static unsigned resident_quarters(size_t page)
{
    unsigned quarters = 0;
    for (unsigned quarter = 0; quarter < RUN_QUARTERS; quarter++) {
        unsigned char in_core;
        char *start = object_at(page, quarter * PER_QUARTER);
        MUST(mincore(start, RUN_QUARTER, &in_core) == 0);
        quarters |= (in_core & 1u) << quarter;
    }
    return quarters;
}

static bool is_watched(size_t page)
{
    return (heap_page_byte(own.heaps, object_at(page, 0)) & RUN_WATCHED) != 0;
}

static void a_quarter_goes_with_the_second_sweep(void **state)
{
    (void)state;
    fill_span(2);
    give_quarters(0, 1, 3);
    give_quarters(1, 2, 3);
    assert_true(sweep_is_wanted(&own));
    assert_int_equal(sweep(SWEEP_OLD), 0);
    assert_int_equal(resident_quarters(0), 15);
    assert_false(is_watched(0));
    assert_true(sweep_is_wanted(&own));
    assert_int_equal(sweep(SWEEP_OLD), 3 * RUN_QUARTER);
    assert_int_equal(resident_quarters(0), 9);
    assert_int_equal(resident_quarters(1), 11);
    assert_true(is_watched(0) && is_watched(1));
    assert_true(own_is_sound());
    assert_false(sweep_is_wanted(&own));
    assert_int_equal(sweep(SWEEP_OLD), 0);
    assert_int_equal(sweep(SWEEP_ALL), 0);
}

/* All of a page but what the next chunk's header needs. */
static void spares_go_too(void **state)
{
    (void)state;
    fill_span(3);
    give_objects(objects + PER_PAGE, 2 * PER_PAGE);
    assert_int_equal(own.runs.spares, 2);
    sweep(SWEEP_OLD);
    assert_int_equal(sweep(SWEEP_OLD), 7 * RUN_QUARTER);
    assert_int_equal(resident_quarters(0), 15);
    assert_int_equal(resident_quarters(1), 0);
    assert_int_equal(resident_quarters(2), 8);
    assert_true(own_is_sound());
    /* They serve again, and are told apart. */
    take_objects(objects + PER_PAGE, PER_PAGE / 2);
    assert_int_equal(own.runs.spares, 1);
    assert_true(own_is_sound());
    trim(0);
    assert_true(own_is_sound());
}

static void a_page_that_is_used_meanwhile_stays(void **state)
{
    (void)state;
    fill_span(1);
    give_quarters(0, 1, 2);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sweep(SWEEP_OLD), 0);
        char *object = NULL;
        take_objects(&object, 1);
        give_objects(&object, 1);
    }
    assert_int_equal(resident_quarters(0), 15);
    assert_int_equal(sweep(SWEEP_OLD), 0);
    assert_int_equal(sweep(SWEEP_OLD), RUN_QUARTER);
}

static void all_idle_quarters_go_when_they_are_asked_for(void **state)
{
    static const enum sweep_kind kinds[] = {SWEEP_ALL, SWEEP_EXCESS};
    (void)state;
    for (size_t i = 0; i < count_of(kinds); i++) {
        own_end(NULL);
        own_begin(NULL);
        fill_span(2);
        give_quarters(0, 0, 3);
        give_quarters(1, 0, 2);
        assert_int_equal(sweep(kinds[i]), 5 * RUN_QUARTER);
        assert_int_equal(resident_quarters(0), 8);
        assert_int_equal(resident_quarters(1), 12);
        assert_true(own_is_sound());
    }
}

/* Given back in the midst of frees, as there is too much. */
static void what_was_there_before_a_run_goes(void **state)
{
    (void)state;
    struct chunk *chunk = take_dirty(4 * RUN_SIZE);
    give(chunk);
    take_objects(objects, 1);
    assert_int_equal(own.runs.count, 1);
    assert_true(objects[0] > (char *)chunk &&
                objects[0] < (char *)chunk + 2 * RUN_SIZE);
    sweep(SWEEP_OLD);
    for (size_t i = 1; i < RUN_QUARTERS; i++) {
        objects[i * PER_QUARTER] = objects[0] + i * RUN_QUARTER;
    }
    assert_int_equal(resident_quarters(0), 15);
    sweep(SWEEP_OLD);
    assert_int_equal(resident_quarters(0), 9);
    assert_true(is_watched(0) && own_is_sound());
    assert_false(sweep_is_wanted(&own));
}

/* Where nothing was, there is nothing to give back. */
static void a_run_in_fresh_memory_is_not_swept(void **state)
{
    (void)state;
    take_objects(objects, 1);
    sweep(SWEEP_OLD);
    sweep(SWEEP_OLD);
    assert_false(is_watched(0));
    assert_true(own_is_sound());
}

static void quarters_are_too_much_at_some_point(void **state)
{
    size_t threshold = option_get(OPTION_TRIM_THRESHOLD);
    (void)state;
    fill_span(16);
    option_set(OPTION_TRIM_THRESHOLD, 4 * RUN_SIZE);
    for (size_t page = 0; page < 16; page++) {
        give_objects(objects + page * PER_PAGE, PER_PAGE - 1);
        now += EXCESS_MILLISECONDS;
    }
    option_set(OPTION_TRIM_THRESHOLD, threshold);
    assert_int_equal(own.runs.count, 16);
    size_t clean = 0;
    for (size_t page = 0; page < 16; page++) {
        clean += resident_quarters(page) == 8;
    }
    size_t dirty = (16 - clean) * 3 * RUN_QUARTER;
    assert_true(dirty <=
                4 * RUN_SIZE + arena_live_bytes(&own) / TRIM_LIVE_SHARE);
    assert_true(dirty > 0);
    assert_true(own_is_sound());
}

/* What comes out of it is marked, zero but for that, and can be used; what is
 * left there is marked too. */
static void a_quarter_that_went_serves_again(void **state)
{
    char *again[PER_QUARTER];
    (void)state;
    fill_span(1);
    give_quarters(0, 1, 3);
    assert_int_equal(sweep(SWEEP_ALL), 2 * RUN_QUARTER);
    void *mems[3];
    MUST(lock_acquire(&own.lock));
    assert_int_equal(arena_take(&own, CLASS, mems, 3), 3);
    lock_release(&own.lock);
    for (size_t i = 0; i < 3; i++) {
        const uint64_t *words = mems[i];
        assert_ptr_equal(mems[i], object_at(0, PER_QUARTER + i));
        assert_true(object_is_marked(mems[i]));
        assert_true(words[0] == 0 && words[2] == 0 && words[7] == 0);
        memset(mems[i], 0x5a, SIZE);
    }
    for (size_t i = 3; i < PER_QUARTER; i++) {
        assert_true(object_is_marked(object_at(0, PER_QUARTER + i)));
    }
    assert_int_equal(resident_quarters(0), 11);
    assert_true(is_watched(0) && own_is_sound());
    take_objects(again, PER_QUARTER - 3);
    assert_true(is_watched(0));
    take_objects(again, 1);
    assert_false(is_watched(0));
    assert_true(own_is_sound());
}

static void quarters_that_are_refused_stay_for_later(void **state)
{
    const struct faulty_plan refuse = {
        .kinds = FAULTY_MADVISE, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    fill_span(2);
    give_quarters(0, 1, 2);
    give_quarters(0, 3, 3);
    give_quarters(1, 1, 3);
    sweep(SWEEP_OLD);
    faulty_use(&refuse);
    assert_int_equal(sweep(SWEEP_OLD), 0);
    assert_int_equal(faulty_calls_refused(), 2);
    faulty_use(NULL);
    assert_int_equal(resident_quarters(0), 15);
    assert_int_equal(resident_quarters(1), 15);
    assert_false(is_watched(0) || is_watched(1));
    assert_true(own_is_sound());
    /* Not for its own sake. */
    assert_false(sweep_is_wanted(&own));
    assert_int_equal(sweep(SWEEP_OLD), 3 * RUN_QUARTER);
    assert_int_equal(resident_quarters(0), 13);
    assert_int_equal(resident_quarters(1), 9);
    assert_true(own_is_sound());
}

/* One call for quarters that follow each other. */
static void a_step_ends_between_quarters(void **state)
{
    size_t returned;
    (void)state;
    fill_span(3);
    /* All but the second quarter: two calls. */
    give_quarters(0, 0, 1);
    give_quarters(0, 2, 4 - 1);
    give_objects(&objects[3 * PER_QUARTER], PER_PAGE - 3 * PER_QUARTER);
    give_quarters(1, 0, 3);
    give_quarters(2, 0, 3);
    assert_true(step(100 * RUN_SIZE, 1, 100, &returned));
    assert_int_equal(returned, RUN_QUARTER);
    assert_true(step(100 * RUN_SIZE, 1, 100, &returned));
    assert_int_equal(returned, 2 * RUN_QUARTER);
    assert_int_equal(resident_quarters(0), 2);
    assert_true(own_is_sound());
    assert_true(step(3 * RUN_QUARTER - 1, 100, 100, &returned));
    assert_int_equal(returned, 0);
    assert_true(step(100 * RUN_SIZE, 100, 0, &returned));
    assert_int_equal(returned, 0);
    assert_true(step(100 * RUN_SIZE, 100, 1, &returned));
    assert_int_equal(returned, 3 * RUN_QUARTER);
    assert_int_equal(resident_quarters(1), 8);
    assert_int_equal(resident_quarters(2), 15);
    assert_true(own_is_sound());
    while (step(3 * RUN_QUARTER, 1, 1, &returned)) {
    }
    assert_int_equal(resident_quarters(2), 8);
    assert_true(own_is_sound());
}

/* Pages of the kernel that are as large as ours: spares alone go, but for the
 * last of their span. */
static void a_page_of_the_kernel_may_be_a_whole_page(void **state)
{
    (void)state;
    page_size = RUN_SIZE;
    fill_span(4);
    give_quarters(0, 0, 3);
    give_objects(objects + PER_PAGE, 3 * PER_PAGE);
    assert_int_equal(own.runs.spares, 3);
    sweep(SWEEP_OLD);
    assert_int_equal(sweep(SWEEP_OLD), 2 * RUN_SIZE);
    assert_int_equal(resident_quarters(0), 15);
    assert_int_equal(resident_quarters(1), 0);
    assert_int_equal(resident_quarters(2), 0);
    assert_int_equal(resident_quarters(3), 15);
    assert_false(is_watched(0));
    assert_true(own_is_sound());
    assert_false(sweep_is_wanted(&own));
}

static void a_page_of_the_kernel_may_be_two_quarters(void **state)
{
    (void)state;
    page_size = 2 * RUN_QUARTER;
    fill_span(2);
    give_quarters(0, 1, 3);
    give_objects(&objects[3 * PER_QUARTER], PER_PAGE - 3 * PER_QUARTER);
    give_quarters(1, 0, 3);
    assert_int_equal(sweep(SWEEP_ALL), 2 * page_size);
    assert_int_equal(resident_quarters(0), 3);
    assert_int_equal(resident_quarters(1), 12);
    assert_true(own_is_sound());
}

/* ... or as large as many. */
static void a_page_of_the_kernel_may_be_larger(void **state)
{
    (void)state;
    page_size = 4 * RUN_SIZE;
    fill_span(16);
    give_objects(objects + PER_PAGE, 15 * PER_PAGE);
    assert_int_equal(own.runs.spares, 15);
    sweep(SWEEP_OLD);
    assert_int_equal(sweep(SWEEP_OLD), 0);
    assert_int_equal(resident_quarters(5), 15);
    assert_true(own_is_sound());
    assert_false(sweep_is_wanted(&own));
}

/* Objects keep what was written to them, whatever goes back between. */
static void objects_survive_all_sweeps(void **state)
{
    enum { COUNT = 16 * PER_PAGE };
    static const size_t sizes[] = {1, 2, 4, 16};
    struct rng rng = {29};
    size_t returned, all = 0;
    (void)state;
    for (int round = 0; round < 4000; round++) {
        size_t at = rng_below(&rng, COUNT);
        size_t end = min_size(COUNT, at + rng_below(&rng, 300));
        bool is_giving = rng_below(&rng, 2) == 0;
        page_size = sizes[rng_below(&rng, count_of(sizes))] * RUN_QUARTER;
        for (; at < end; at++) {
            if (is_giving && objects[at] != NULL) {
                give_objects(&objects[at], 1);
                objects[at] = NULL;
            } else if (!is_giving && objects[at] == NULL) {
                take_objects(&objects[at], 1);
            }
        }
        step(20000, 2, 3, &returned);
        all += returned;
        if (round % 5 == 0) {
            all += sweep(SWEEP_OLD);
        }
        if (round % 20 == 0) {
            MUST(own_is_sound());
        }
    }
    assert_true(all > 100 * RUN_QUARTER);
    for (size_t at = 0; at < COUNT; at++) {
        if (objects[at] != NULL) {
            give_objects(&objects[at], 1);
            objects[at] = NULL;
        }
    }
    page_size = 0;
    trim(0);
    assert_true(own_is_sound());
    assert_true(own_is_empty());
}

/* ---- too much ------------------------------------------------------------ */

enum {
    SWING = 10,
};

/* Takes 10 MiB and gives them, so many milliseconds for each; returns how many
 * bytes are dirty after it. */
static size_t swing(uint64_t milliseconds)
{
    struct chunk *chunks[SWING];
    size_t bytes = 0;
    for (size_t i = 0; i < SWING; i++) {
        chunks[i] = take(CHUNK);
        fill(chunks[i], 1);
    }
    for (size_t i = 0; i < SWING; i++) {
        give(chunks[i]);
        now += milliseconds;
    }
    for (size_t i = 0; i < SWING; i++) {
        bytes += resident(chunks[i], CHUNK);
    }
    return bytes;
}

enum {
    SLOWLY = EXCESS_MILLISECONDS / 3,
    KEPT = DEFAULT_TRIM_THRESHOLD + CHUNK,
};

static void one_peak_is_given_back(void **state)
{
    (void)state;
    assert_true(swing(SLOWLY) <= KEPT);
    assert_true(own_is_sound());
}

static void a_quick_swing_is_not(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_true(swing(1) >= (SWING - 1) * CHUNK);
        assert_true(own_is_sound());
    }
}

/* Who would come by later? */
static void without_a_helper_a_quick_swing_is_given_back(void **state)
{
    (void)state;
    bell_helper = false;
    assert_true(swing(1) <= KEPT);
    /* But once. */
    for (int i = 0; i < 5; i++) {
        assert_true(swing(1) >= (SWING - 1) * CHUNK);
    }
    assert_true(own_is_sound());
}

/* So much of it that nobody waits. */
static void a_quick_fall_of_very_much_is_given_back(void **state)
{
    enum { MANY = (EXCESS_BYTES_MAX >> 20) + 40 };
    static struct chunk *chunks[MANY];
    size_t bytes = 0;
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        chunks[i] = take(CHUNK);
        fill(chunks[i], 1);
    }
    for (size_t i = 0; i < MANY; i++) {
        give(chunks[i]);
    }
    for (struct heap *heap = own.heaps; heap != NULL; heap = heap->next) {
        bytes += resident(heap_first_chunk(heap), heap->committed - (1 << 16));
    }
    assert_true(bytes <= 2 * KEPT);
}

static void one_that_comes_again_soon_is_kept(void **state)
{
    (void)state;
    swing(SLOWLY);
    for (int i = 0; i < 5; i++) {
        assert_true(swing(SLOWLY) >= (SWING - 1) * CHUNK);
    }
    assert_true(own_is_sound());
    /* By and by that is forgotten, when nobody needs it. */
    for (int i = 0; i < 6 * ALLOWANCE_SWEEPS; i++) {
        sweep(SWEEP_OLD);
    }
    now += 10 * RETURN_TOO_SOON;
    assert_true(swing(SLOWLY) <= KEPT);
}

static void one_that_comes_again_late_is_not(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        now += 2 * RETURN_TOO_SOON;
        assert_true(swing(SLOWLY) <= KEPT);
    }
}

enum {
    PIECE = 16 << 10,
    PIECES = 2048,
    MAGAZINE = 32,
};

/* Between pieces that stay, every second one is given, by magazines: a sweep
 * takes more steps than there are, and is not done when memory is wanted
 * again. Returns how much of them is dirty. */
static size_t scattered_swing(struct chunk **pieces)
{
    size_t bytes = 0;
    for (size_t i = 0; i < PIECES; i += 2) {
        pieces[i] = take(PIECE);
        fill(pieces[i], 1);
    }
    MUST(lock_acquire(&own.lock));
    for (size_t i = 0; i < PIECES; i += 2) {
        _int_free(&own, pieces[i]);
        if (i % MAGAZINE == 0) {
            sweep_excess(&own);
        }
    }
    lock_release(&own.lock);
    for (size_t i = 0; i < PIECES; i += 2) {
        bytes += resident(pieces[i], PIECE);
    }
    return bytes;
}

static void what_comes_again_during_a_sweep_ends_it(void **state)
{
    enum { DIRTY = PIECES / 2 * (PIECE - 4096) };
    static struct chunk *pieces[PIECES];
    (void)state;
    bell_helper = false;
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = take(PIECE);
    }
    for (size_t i = 0; i < PIECES; i += 2) {
        give(pieces[i]);
    }
    now += 10 * RETURN_TOO_SOON;
    assert_true(scattered_swing(pieces) < DIRTY - DIRTY / 8);
    assert_true(own.sweeps.of[SWEEP_EXCESS].is_under_way);
    /* What is allowed is as much as was returned, and wanted again. */
    scattered_swing(pieces);
    for (int i = 0; i < 5; i++) {
        assert_true(scattered_swing(pieces) >= DIRTY - DIRTY / 8);
        assert_true(own_is_sound());
    }
}

static int begin_anew(void **state)
{
    page_size = 0;
    memset(objects, 0, sizeof objects);
    faulty_use(NULL);
    bell_helper = true;
    return own_begin(state);
}

static int end(void **state)
{
    page_size = 0;
    return own_end(state);
}

#define arena_test(name) cmocka_unit_test_setup_teardown(name, begin_anew, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        arena_test(what_is_old_goes_with_the_second_sweep),
        arena_test(top_goes_too),
        arena_test(what_is_used_meanwhile_stays),
        arena_test(what_was_given_back_is_known_to_be_zero),
        arena_test(headers_that_are_merged_are_dirty),
        arena_test(what_the_kernel_refuses_is_tried_again_later),
        arena_test(a_step_is_bounded),
        arena_test(a_sweep_survives_what_happens_meanwhile),
        arena_test(a_quarter_goes_with_the_second_sweep),
        arena_test(spares_go_too),
        arena_test(a_page_that_is_used_meanwhile_stays),
        arena_test(all_idle_quarters_go_when_they_are_asked_for),
        arena_test(what_was_there_before_a_run_goes),
        arena_test(a_run_in_fresh_memory_is_not_swept),
        arena_test(quarters_are_too_much_at_some_point),
        arena_test(a_quarter_that_went_serves_again),
        arena_test(quarters_that_are_refused_stay_for_later),
        arena_test(a_step_ends_between_quarters),
        arena_test(a_page_of_the_kernel_may_be_a_whole_page),
        arena_test(a_page_of_the_kernel_may_be_two_quarters),
        arena_test(a_page_of_the_kernel_may_be_larger),
        arena_test(objects_survive_all_sweeps),
        arena_test(one_peak_is_given_back),
        arena_test(a_quick_swing_is_not),
        arena_test(without_a_helper_a_quick_swing_is_given_back),
        arena_test(a_quick_fall_of_very_much_is_given_back),
        arena_test(one_that_comes_again_soon_is_kept),
        arena_test(one_that_comes_again_late_is_not),
        arena_test(what_comes_again_during_a_sweep_ends_it),
    };
    own_is_late = false;
    return UNIT_RUN(tests);
}
