/*
 * huge.c - which parts of a heap are advised to be huge pages, and for how
 * long. What the system's setting is, and what the kernel answers, is for the
 * test to say; after each scene the whole arena is checked.
 */
#define _GNU_SOURCE
#include "own_arena.h"

#include "faulty_syscall.h"
#include "huge.h"

enum {
    STEP = 64 << 10,
    MANY = 2048, /* steps: 128 MiB, so two heaps at least */
};

/* ---- the kernel ---------------------------------------------------------- */

static struct {
    bool is_by_advice;
    bool refuses_huge;
    bool refuses_plain;
    unsigned asked;
    uintptr_t from, to; /* the last that it took; empty since that was ended */
    uintptr_t heap;     /* of which all was advised against it last */
    unsigned tick;      /* by which the clock moves each time it is looked at */
    uint64_t now;
} kernel = {.is_by_advice = true};

uint64_t __wrap_os_milliseconds(void);
uint64_t __wrap_os_milliseconds(void)
{
    return kernel.now += kernel.tick;
}

bool __wrap_os_huge_pages_are_by_advice(void);
bool __wrap_os_huge_pages_are_by_advice(void)
{
    return kernel.is_by_advice;
}

bool __wrap_os_welcome_huge_pages(void *address, size_t size);
bool __wrap_os_welcome_huge_pages(void *address, size_t size)
{
    kernel.asked++;
    if (kernel.refuses_huge) {
        return false;
    }
    /* What was advised before was ended, and the heap is plain. */
    MUST(kernel.from == kernel.to);
    MUST(kernel.heap == (uintptr_t)heap_for_ptr(address));
    MUST((uintptr_t)address % HUGE_PAGE_SIZE == 0 &&
         size % HUGE_PAGE_SIZE == 0 && size > 0);
    kernel.from = (uintptr_t)address;
    kernel.to = (uintptr_t)address + size;
    return true;
}

bool __wrap_os_avoid_huge_pages(void *address, size_t size);
bool __wrap_os_avoid_huge_pages(void *address, size_t size)
{
    uintptr_t from = (uintptr_t)address, to = from + size;
    if (kernel.refuses_plain) {
        return false;
    }
    if (size == HEAP_MAX_SIZE) {
        kernel.heap = from;
    }
    if (from <= kernel.from && kernel.to <= to) {
        kernel.from = kernel.to = 0;
    }
    return true;
}

static int scene_begin(void **state)
{
    uint64_t later = kernel.now + 2 * HUGE_REST;
    memset(&kernel, 0, sizeof kernel);
    kernel.now = later;
    kernel.is_by_advice = true;
    option_set(OPTION_HUGE_PAGES, 1);
    own_is_late = true;
    return own_begin(state);
}

/* ---- the program --------------------------------------------------------- */

static struct chunk *taken[MANY];
static size_t count;

/* Takes one more; the regions that it asks for begin in it or right behind. */
static void take_step(void)
{
    unsigned before = kernel.asked;
    struct chunk *chunk = take(STEP);
    MUST(chunk != NULL && count < MANY);
    taken[count++] = chunk;
    if (kernel.asked != before && kernel.from < kernel.to) {
        uintptr_t end = (uintptr_t)chunk + chunk_size(chunk);
        MUST(kernel.from > (uintptr_t)chunk);
        MUST(kernel.from < end + MIN_CHUNK_SIZE);
        MUST(kernel.to <= (uintptr_t)heap_end(heap_for_ptr(chunk)));
    }
}

static void take_up_to(size_t bytes)
{
    while (arena_live_bytes(&own) < bytes) {
        take_step();
    }
}

static void fill_all(void)
{
    for (size_t i = 0; i < count; i++) {
        fill(taken[i], (unsigned char)(i + 1));
    }
}

static void all_are_filled(void)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(is_filled(taken[i], 64, (unsigned char)(i + 1)));
    }
}

static void give_all(void)
{
    while (count > 0) {
        give(taken[--count]);
    }
}

/* ---- growth -------------------------------------------------------------- */

static void small_arenas_ask_for_none(void **state)
{
    (void)state;
    count = 0;
    take_up_to(HUGE_FROM - STEP);
    assert_int_equal(kernel.asked, 0);
    assert_true(own_is_sound());
}

/* One for each region from there on, and what is next to it is not touched. */
static void large_ones_ask_region_by_region(void **state)
{
    (void)state;
    count = 0;
    take_up_to(HUGE_FROM);
    assert_int_equal(kernel.asked, 0);
    take_up_to(HUGE_FROM + 10 * HUGE_PAGE_SIZE);
    assert_in_range(kernel.asked, 9, 11);
    assert_int_equal(kernel.to - kernel.from, HUGE_PAGE_SIZE);
    fill_all();
    assert_true(own_is_sound());
    all_are_filled();
}

static void a_chunk_of_several_regions_asks_for_all(void **state)
{
    (void)state;
    count = 0;
    take_up_to(HUGE_FROM);
    struct chunk *large = take(7 * HUGE_PAGE_SIZE);
    assert_int_equal(kernel.asked, 1);
    assert_in_range(kernel.to - kernel.from, 7 * HUGE_PAGE_SIZE,
                    8 * HUGE_PAGE_SIZE);
    assert_true(kernel.from > (uintptr_t)large);
    assert_true(own_is_sound());
}

/* What nobody uses of a region is given back when it is old. */
static void the_unused_part_goes_back(void **state)
{
    (void)state;
    count = 0;
    take_up_to(HUGE_FROM);
    while (kernel.asked == 0) {
        take_step();
    }
    struct heap *heap = heap_for_ptr(own.top);
    assert_int_equal(heap->touched, heap->hoped.to);
    assert_true(sweep_is_wanted(&own));
    assert_int_equal(sweep(SWEEP_OLD), 0);
    assert_in_range(sweep(SWEEP_OLD), HUGE_PAGE_SIZE - 2 * STEP,
                    HUGE_PAGE_SIZE);
    /* The advice has ended, as the kernel would fill the region again. */
    assert_int_equal(kernel.from, kernel.to);
    assert_int_equal(heap->hoped.from, heap->hoped.to);
    assert_true(own_is_sound());
}

/* ---- swings -------------------------------------------------------------- */

static void who_had_more_before_asks_earlier_but_not_for_more(void **state)
{
    (void)state;
    count = 0;
    take_up_to(HUGE_FROM - 2 * HUGE_PAGE_SIZE);
    fill_all();
    assert_int_equal(kernel.asked, 0);
    give_all();
    assert_true(own.sweeps.live_most >= HUGE_FROM - 2 * HUGE_PAGE_SIZE);
    take_up_to(HUGE_AGAIN_FROM);
    assert_int_equal(kernel.asked, 0);
    take_up_to(own.sweeps.live_most - 2 * HUGE_PAGE_SIZE);
    unsigned asked = kernel.asked;
    assert_in_range(asked, 6, 11);
    take_up_to(own.sweeps.live_most);
    assert_int_equal(kernel.asked, asked);
    /* Until it has outgrown that. */
    take_up_to(HUGE_FROM + 8 * HUGE_PAGE_SIZE);
    assert_true(kernel.asked > asked);
    fill_all();
    assert_true(own_is_sound());
    all_are_filled();
}

/* So many pages of a free chunk, from this address on, hold garbage. */
static void make_dirty(char *from, size_t pages)
{
    struct heap *heap = heap_for_ptr(from);
    size_t place = heap_place(heap, from);
    pages_note_freed_widely(&heap->pages, place, place + pages * PAGES_SIZE);
    memset(from, 77, pages * PAGES_SIZE);
}

/* A hole between blocks in use. */
static void what_is_mostly_dirty_stays_as_it_is(void **state)
{
    (void)state;
    own_is_late = false;
    count = 0;
    take_up_to(HUGE_FROM);
    struct chunk *hole = take_fenced(4 * HUGE_PAGE_SIZE);
    fill(hole, 99);
    give(hole);
    kernel.asked = 0;
    assert_ptr_equal(take(2 * HUGE_PAGE_SIZE), hole);
    assert_int_equal(kernel.asked, 0);
    assert_int_equal(((char *)chunk2mem(hole))[HUGE_PAGE_SIZE], 99);
    assert_true(own_is_sound());
}

static void what_is_mostly_clean_is_cleared(void **state)
{
    (void)state;
    own_is_late = false;
    count = 0;
    take_up_to(HUGE_FROM);
    struct chunk *hole = take_fenced(4 * HUGE_PAGE_SIZE);
    take_step();
    fill_all();
    give(hole);
    sweep(SWEEP_ALL);
    char *region = (char *)round_up((uintptr_t)hole + STEP, HUGE_PAGE_SIZE);
    make_dirty(region, HUGE_DIRTY_PAGES);
    make_dirty(region + HUGE_PAGE_SIZE, HUGE_DIRTY_PAGES + 1);
    kernel.asked = 0;
    struct chunk *again = take(3 * HUGE_PAGE_SIZE);
    assert_ptr_equal(again, hole);
    assert_int_equal(kernel.asked, 1);
    assert_int_equal(kernel.from, (uintptr_t)region);
    assert_int_equal(kernel.to, (uintptr_t)region + HUGE_PAGE_SIZE);
    for (size_t i = 0; i < HUGE_PAGE_SIZE; i++) {
        assert_int_equal(region[i], 0);
    }
    assert_int_equal(region[HUGE_PAGE_SIZE], 77);
    assert_true(own_is_sound());
    all_are_filled();
}

/* ---- who does not want them, and a kernel that says no --------------------
 */

static void nobody_asks(void)
{
    count = 0;
    take_up_to(HUGE_FROM + 4 * HUGE_PAGE_SIZE);
    assert_int_equal(kernel.asked, 0);
    assert_int_equal(kernel.heap, 0);
    fill_all();
    assert_true(own_is_sound());
}

static void the_option_forbids_them(void **state)
{
    (void)state;
    option_set(OPTION_HUGE_PAGES, 0);
    nobody_asks();
}

static void other_settings_are_left_alone(void **state)
{
    (void)state;
    kernel.is_by_advice = false;
    nobody_asks();
}

/* It stays as if nobody had asked, and is tried again. */
static void a_kernel_without_them_is_no_harm(void **state)
{
    (void)state;
    kernel.refuses_huge = true;
    count = 0;
    take_up_to(HUGE_FROM + 4 * HUGE_PAGE_SIZE);
    assert_in_range(kernel.asked, 3, 5);
    struct heap *heap = heap_for_ptr(own.top);
    assert_int_equal(heap->hoped.to, 0);
    assert_true((char *)heap + heap->touched <=
                (char *)own.top + MIN_CHUNK_SIZE);
    kernel.refuses_huge = false;
    kernel.refuses_plain = true;
    heap->is_plain = false;
    kernel.asked = 0;
    take_up_to(HUGE_FROM + 8 * HUGE_PAGE_SIZE);
    assert_int_equal(kernel.asked, 0);
    fill_all();
    assert_true(own_is_sound());
    all_are_filled();
}

static void what_cannot_be_cleared_is_not_asked_for(void **state)
{
    static const struct faulty_plan no_advice = {
        .kinds = FAULTY_MADVISE, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    count = 0;
    take_up_to(HUGE_FROM);
    struct chunk *hole = take_fenced(4 * HUGE_PAGE_SIZE);
    fill(hole, 99);
    fill_all();
    own_is_late = false;
    give(hole);
    sweep(SWEEP_ALL);
    kernel.asked = 0;
    faulty_use(&no_advice);
    assert_ptr_equal(take(3 * HUGE_PAGE_SIZE), hole);
    assert_in_range(faulty_calls_refused(), 1, 4);
    faulty_use(NULL);
    assert_int_equal(kernel.asked, 0);
    assert_true(own_is_sound());
    all_are_filled();
}

/* Several slow ones in a row are enough; a fast one between them is a hint that
 * the clock has moved by chance. */
static void who_is_slow_is_left_alone_for_a_while(void **state)
{
    (void)state;
    count = 0;
    take_up_to(HUGE_FROM);
    for (int i = 0; i < 3; i++) {
        kernel.asked = 0;
        kernel.tick = 4;
        while (kernel.asked < HUGE_SLOW_ROW - 1) {
            take_step();
        }
        kernel.tick = 0;
        while (kernel.asked < HUGE_SLOW_ROW) {
            take_step();
        }
    }
    size_t live = arena_live_bytes(&own);
    kernel.asked = 0;
    kernel.tick = 4;
    take_up_to(live + 6 * HUGE_PAGE_SIZE);
    kernel.tick = 0;
    take_up_to(live + 12 * HUGE_PAGE_SIZE);
    assert_int_equal(kernel.asked, HUGE_SLOW_ROW);
    kernel.now += HUGE_REST;
    take_up_to(live + 16 * HUGE_PAGE_SIZE);
    assert_in_range(kernel.asked, HUGE_SLOW_ROW + 3, HUGE_SLOW_ROW + 5);
    fill_all();
    assert_true(own_is_sound());
    all_are_filled();
}

/* An advice that does not end is no harm to what is in the region. */
static void an_end_that_is_refused_is_left(void **state)
{
    (void)state;
    count = 0;
    take_up_to(HUGE_FROM + 4 * HUGE_PAGE_SIZE);
    assert_true(kernel.from < kernel.to);
    kernel.refuses_plain = true;
    huge_end(heap_for_ptr(own.top));
    assert_true(kernel.from < kernel.to);
    kernel.refuses_plain = false;
    kernel.from = kernel.to = 0;
    take_up_to(HUGE_FROM + 8 * HUGE_PAGE_SIZE);
    fill_all();
    assert_true(own_is_sound());
    all_are_filled();
}

/* What is decommitted has lost its advice, and all of the heap is advised
 * against huge pages again before the next. */
static void a_top_that_was_trimmed_is_asked_for_again(void **state)
{
    (void)state;
    count = 0;
    take_up_to(HUGE_FROM + 4 * HUGE_PAGE_SIZE);
    own_is_late = false;
    while (arena_live_bytes(&own) > HUGE_FROM) {
        give(taken[--count]);
    }
    assert_true(trim(0));
    struct heap *heap = heap_for_ptr(own.top);
    assert_false(heap->is_plain);
    assert_true(heap->hoped.to <= heap->committed);
    kernel.from = kernel.to = kernel.heap = 0;
    kernel.asked = 0;
    take_up_to(HUGE_FROM + 4 * HUGE_PAGE_SIZE);
    assert_in_range(kernel.asked, 3, 5);
    assert_int_equal(kernel.heap, (uintptr_t)heap);
    fill_all();
    assert_true(own_is_sound());
    all_are_filled();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(other_settings_are_left_alone,
                                        scene_begin, own_end),
        cmocka_unit_test_setup_teardown(small_arenas_ask_for_none, scene_begin,
                                        own_end),
        cmocka_unit_test_setup_teardown(large_ones_ask_region_by_region,
                                        scene_begin, own_end),
        cmocka_unit_test_setup_teardown(a_chunk_of_several_regions_asks_for_all,
                                        scene_begin, own_end),
        cmocka_unit_test_setup_teardown(the_unused_part_goes_back, scene_begin,
                                        own_end),
        cmocka_unit_test_setup_teardown(
            who_had_more_before_asks_earlier_but_not_for_more, scene_begin,
            own_end),
        cmocka_unit_test_setup_teardown(what_is_mostly_dirty_stays_as_it_is,
                                        scene_begin, own_end),
        cmocka_unit_test_setup_teardown(what_is_mostly_clean_is_cleared,
                                        scene_begin, own_end),
        cmocka_unit_test_setup_teardown(the_option_forbids_them, scene_begin,
                                        own_end),
        cmocka_unit_test_setup_teardown(a_kernel_without_them_is_no_harm,
                                        scene_begin, own_end),
        cmocka_unit_test_setup_teardown(what_cannot_be_cleared_is_not_asked_for,
                                        scene_begin, own_end),
        cmocka_unit_test_setup_teardown(who_is_slow_is_left_alone_for_a_while,
                                        scene_begin, own_end),
        cmocka_unit_test_setup_teardown(an_end_that_is_refused_is_left,
                                        scene_begin, own_end),
        cmocka_unit_test_setup_teardown(
            a_top_that_was_trimmed_is_asked_for_again, scene_begin, own_end),
    };
    return UNIT_RUN(tests);
}
