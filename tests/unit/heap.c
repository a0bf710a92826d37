/*
 * heap.c - reservations: where they lie, how they grow and shrink, and what
 * becomes of them when the kernel refuses something.
 *
 * Each test gives back what it took, so that the number of heaps is 0 between
 * two of them.
 */
#define _GNU_SOURCE
#include "heap.h"

#include "unit.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include "child.h"
#include "faulty_syscall.h"
#include "os.h"
#include "owner.h"

enum {
    NUMBER = 17,
};

static struct arena *const some_arena = (struct arena *)0x1230;
static size_t page;
static size_t header_pages; /* in bytes */

/* What a heap commits for a header and so many pages behind it. */
static size_t with_header(size_t pages)
{
    return round_up(HEAP_HEADER_SIZE, page) + pages * page;
}

static char *heap_byte(const struct heap *heap, size_t offset)
{
    return (char *)((uintptr_t)heap + offset);
}

static bool is_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_mapped(void *address)
{
    unsigned char in_core;
    return mincore(address, page, &in_core) == 0;
}

/* Pages of address space that the process has. */
static long address_space(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    MUST(file != NULL && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages;
}

static struct heap *create(size_t need, size_t wanted)
{
    return heap_create(some_arena, NUMBER, need, wanted);
}

static int no_heap_is_left(void **state)
{
    (void)state;
    faulty_use(NULL);
    return heap_count() == 0 ? 0 : -1;
}

/* ---- creating ----------------------------------------------------------- */

static void a_heap_is_aligned_tagged_and_writable(void **state)
{
    (void)state;
    struct heap *heap = create(1000, 100000);
    assert_non_null(heap);
    assert_int_equal((uintptr_t)heap % HEAP_MAX_SIZE, 0);
    assert_ptr_equal(heap->arena, some_arena);
    assert_null(heap->next);
    assert_null(heap->previous);
    assert_int_equal(heap->reserved, HEAP_MAX_SIZE);
    assert_int_equal(heap->committed, round_up(100000, page));
    assert_int_equal(heap->touched, HEAP_HEADER_SIZE);
    assert_int_equal(heap_count(), 1);
    assert_int_equal(owner_of(heap), NUMBER);
    assert_int_equal(owner_of(heap_byte(heap, HEAP_MAX_SIZE - 1)), NUMBER);
    assert_ptr_equal(heap_for_ptr(heap_byte(heap, HEAP_MAX_SIZE - 1)), heap);
    assert_ptr_equal(heap_for_ptr(heap), heap);
    size_t rest = heap->committed - HEAP_HEADER_SIZE;
    assert_true(is_zero(heap_byte(heap, HEAP_HEADER_SIZE), rest));
    memset(heap_byte(heap, HEAP_HEADER_SIZE), 1, rest);
    assert_true(heap_destroy(heap));
}

static void the_need_counts_behind_the_header(void **state)
{
    (void)state;
    struct heap *heap = create(2 * page, 0);
    assert_int_equal(heap->committed,
                     round_up(HEAP_HEADER_SIZE + 2 * page, page));
    assert_true(heap_destroy(heap));
    heap = create(with_header(2) - HEAP_HEADER_SIZE, 0);
    assert_int_equal(heap->committed, with_header(2));
    assert_true(heap_destroy(heap));
    heap = create(HEAP_MAX_SIZE - HEAP_HEADER_SIZE, 0);
    assert_int_equal(heap->committed, HEAP_MAX_SIZE);
    assert_true(heap_destroy(heap));
}

static void more_than_the_reservation_cannot_be_committed(void **state)
{
    (void)state;
    struct heap *heap = create(page, 2 * HEAP_MAX_SIZE);
    assert_int_equal(heap->committed, HEAP_MAX_SIZE);
    assert_true(heap_destroy(heap));
}

static void only_committed_chunks_are_contained(void **state)
{
    (void)state;
    const size_t end = with_header(1);
    struct heap *heap = create(page, end);
    assert_false(heap_contains(heap, chunk_at(heap, 0)));
    assert_false(heap_contains(heap, chunk_at(heap, HEAP_HEADER_SIZE - 16)));
    assert_true(heap_contains(heap, heap_first_chunk(heap)));
    assert_true(heap_contains(heap, chunk_at(heap, end - 32)));
    assert_false(heap_contains(heap, chunk_at(heap, end - 16)));
    assert_false(heap_contains(heap, chunk_at(heap, end)));
    assert_false(heap_contains(heap, chunk_at(heap, HEAP_MAX_SIZE - 32)));
    assert_ptr_equal(heap_end(heap), chunk_at(heap, end));
    assert_true(heap_destroy(heap));
}

static void touched_only_rises(void **state)
{
    (void)state;
    const size_t low = HEAP_HEADER_SIZE + 500, high = low + 500;
    struct heap *heap = create(page, with_header(1));
    heap_note_touched(heap, heap_byte(heap, high));
    assert_ptr_equal(heap_touched_end(heap), heap_byte(heap, high));
    heap_note_touched(heap, heap_byte(heap, low));
    assert_ptr_equal(heap_touched_end(heap), heap_byte(heap, high));
    assert_true(heap_destroy(heap));
}

/* ---- places ------------------------------------------------------------- */

static void heaps_lie_side_by_side(void **state)
{
    (void)state;
    struct heap *upper = create(page, page);
    struct heap *lower = create(page, page);
    assert_ptr_equal(lower, heap_byte(upper, -HEAP_MAX_SIZE));
    assert_int_equal(heap_count(), 2);
    /* A place that became free is the next one taken. */
    assert_true(heap_destroy(upper));
    assert_int_equal(owner_of(upper), 0);
    assert_int_equal(owner_of(lower), NUMBER);
    struct heap *again = create(page, page);
    assert_ptr_equal(again, upper);
    assert_true(heap_destroy(again));
    assert_true(heap_destroy(lower));
}

/* Something lies where the next heap would go: at its start, in its middle, at
 * its end. */
static void a_taken_place_is_left_alone(void **state)
{
    (void)state;
    size_t offsets[] = {0, HEAP_MAX_SIZE / 2, HEAP_MAX_SIZE - page};
    for (size_t i = 0; i < count_of(offsets); i++) {
        struct heap *upper = create(page, page);
        char *place = heap_byte(upper, -HEAP_MAX_SIZE);
        char *taken =
            mmap(place + offsets[i], page, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        assert_ptr_equal(taken, place + offsets[i]);
        memset(taken, 0x5a, page);
        struct heap *heap = create(page, page);
        assert_non_null(heap);
        assert_ptr_not_equal(heap, place);
        assert_int_equal((uintptr_t)heap % HEAP_MAX_SIZE, 0);
        assert_int_equal(heap->reserved, HEAP_MAX_SIZE);
        assert_int_equal(taken[0], 0x5a);
        assert_int_equal(taken[page - 1], 0x5a);
        assert_true(heap_destroy(heap));
        assert_true(heap_destroy(upper));
        munmap(taken, page);
    }
}

/* No reservation but one at an address that was asked for: as if there were
 * no room for 64 MiB of slack. */
static void without_room_for_slack_a_probe_finds_the_place(void **state)
{
    const struct faulty_plan no_slack = {
        .kinds = FAULTY_MMAP,
        .at_least = HEAP_MAX_SIZE + 1,
        .first = 1,
        .how_many = FAULTY_FOR_EVER,
    };
    (void)state;
    struct heap *upper = create(page, page);
    char *place = heap_byte(upper, -HEAP_MAX_SIZE);
    assert_true(os_reserve_at(place, page));
    faulty_use(&no_slack);
    struct heap *heap = create(page, page);
    assert_int_not_equal(faulty_calls_refused(), 0);
    faulty_use(NULL);
    assert_non_null(heap);
    assert_ptr_not_equal(heap, place);
    assert_int_equal(heap->reserved, HEAP_MAX_SIZE);
    assert_true(heap_destroy(heap));
    assert_true(heap_destroy(upper));
    assert_true(os_unmap(place, page));
}

/* Creates and destroys a heap whose place is taken, so that it has to be cut
 * out of a larger reservation; returns how many cuts were made or refused. */
static unsigned long cut_a_heap_out(const struct faulty_plan *plan)
{
    struct heap *upper = create(page, page);
    char *taken = heap_byte(upper, -HEAP_MAX_SIZE - page);
    assert_true(os_reserve_at(taken, 2 * page));
    long before = address_space();
    faulty_use(plan);
    struct heap *heap = create(page, page);
    unsigned long cuts = faulty_calls_counted();
    assert_int_equal(faulty_calls_refused(), plan->how_many);
    faulty_use(NULL);
    assert_non_null(heap);
    assert_int_equal((uintptr_t)heap % HEAP_MAX_SIZE, 0);
    assert_true(heap_destroy(heap));
    assert_int_equal(address_space(), before);
    assert_true(heap_destroy(upper));
    assert_true(os_unmap(taken, 2 * page));
    return cuts;
}

/* The kernel may refuse to cut the slack off, before or behind. */
static void slack_that_cannot_be_cut_off_is_given_back(void **state)
{
    const struct faulty_plan count = {.kinds = FAULTY_MUNMAP};
    (void)state;
    unsigned long cuts = cut_a_heap_out(&count);
    assert_in_range(cuts, 1, 2);
    for (unsigned long which = 1; which <= cuts; which++) {
        const struct faulty_plan refuse = {
            .kinds = FAULTY_MUNMAP, .first = which, .how_many = 1};
        cut_a_heap_out(&refuse);
    }
}

/* ---- less than was asked for -------------------------------------------- */

static struct faulty_plan no_reservation_from(size_t least)
{
    return (struct faulty_plan){
        .kinds = FAULTY_MMAP,
        .at_least = least,
        .first = 1,
        .how_many = FAULTY_FOR_EVER,
    };
}

static void the_reservation_is_halved_until_it_is_granted(void **state)
{
    (void)state;
    for (size_t least = HEAP_MAX_SIZE; least > HEAP_MIN_RESERVE; least /= 2) {
        struct faulty_plan plan = no_reservation_from(least);
        faulty_use(&plan);
        struct heap *heap = create(page, with_header(1));
        faulty_use(NULL);
        assert_non_null(heap);
        assert_int_equal((uintptr_t)heap % HEAP_MAX_SIZE, 0);
        assert_int_equal(heap->reserved, least / 2);
        assert_int_equal(heap->committed, with_header(1));
        assert_true(heap_destroy(heap));
    }
}

static void a_smaller_reservation_still_serves_the_need(void **state)
{
    const size_t need = 5 << 20;
    (void)state;
    struct faulty_plan plan = no_reservation_from(8 << 20);
    faulty_use(&plan);
    struct heap *heap = create(need, need);
    assert_non_null(heap);
    assert_true(heap->reserved >= need + HEAP_HEADER_SIZE);
    assert_true(heap->reserved < 8 << 20);
    assert_true(heap->committed >= need + HEAP_HEADER_SIZE);
    assert_true(heap_destroy(heap));
    /* The need itself is refused. */
    assert_null(create(8 << 20, 8 << 20));
    assert_int_equal(heap_count(), 0);
}

static void when_all_is_refused_there_is_no_heap(void **state)
{
    (void)state;
    long before = address_space();
    struct faulty_plan plan = no_reservation_from(0);
    faulty_use(&plan);
    assert_null(create(page, page));
    faulty_use(NULL);
    assert_int_equal(heap_count(), 0);
    assert_int_equal(address_space(), before);
}

/* As under a limit on locked memory: a page can be had. Each size is asked for
 * with slack, without, and where the next heap would go. */
static void what_is_refused_anywhere_is_not_asked_for_everywhere(void **state)
{
    const unsigned sizes = HEAP_MAX_SHIFT - 18 + 1; /* 256 KiB to 64 MiB */
    (void)state;
    struct faulty_plan plan = no_reservation_from(HEAP_MIN_RESERVE);
    faulty_use(&plan);
    assert_null(create(page, page));
    unsigned long refused = faulty_calls_refused();
    faulty_use(NULL);
    assert_in_range(refused, sizes, 3 * sizes);
}

static void when_only_the_need_can_be_committed_it_is(void **state)
{
    const struct faulty_plan plan = {
        .kinds = FAULTY_MPROTECT,
        .at_least = 1 << 20,
        .first = 1,
        .how_many = FAULTY_FOR_EVER,
    };
    (void)state;
    faulty_use(&plan);
    struct heap *heap = create(page, 1 << 20);
    assert_int_equal(faulty_calls_refused(), 1);
    assert_non_null(heap);
    assert_int_equal(heap->committed, with_header(1));
    assert_true(heap_grow(heap, page, 1 << 20));
    assert_int_equal(faulty_calls_refused(), 2);
    assert_int_equal(heap->committed, with_header(2));
    assert_false(heap_grow(heap, 1 << 20, 1 << 20));
    assert_int_equal(heap->committed, with_header(2));
    assert_true(heap_destroy(heap));
}

static void when_nothing_can_be_committed_nothing_is_kept(void **state)
{
    const struct faulty_plan plan = {
        .kinds = FAULTY_MPROTECT, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    long before = address_space();
    faulty_use(&plan);
    assert_null(create(page, with_header(1)));
    faulty_use(NULL);
    assert_int_equal(heap_count(), 0);
    assert_int_equal(address_space(), before);
}

/* ---- growing ------------------------------------------------------------ */

static void a_heap_grows_by_what_is_wanted(void **state)
{
    (void)state;
    struct heap *heap = create(page, page);
    size_t committed = heap->committed;
    assert_true(heap_grow(heap, 1, 10 * page));
    assert_int_equal(heap->committed, committed + 10 * page);
    assert_true(is_zero(heap_byte(heap, committed), 10 * page));
    memset(heap_byte(heap, committed), 1, 10 * page);
    assert_true(heap_grow(heap, 1, 0));
    assert_int_equal(heap->committed, committed + 11 * page);
    assert_int_equal(heap->reserved, HEAP_MAX_SIZE);
    assert_true(heap_destroy(heap));
}

static void a_heap_grows_to_64_mib_and_no_further(void **state)
{
    (void)state;
    struct heap *heap = create(page, page);
    assert_false(heap_grow(heap, HEAP_MAX_SIZE, 0));
    assert_false(heap_grow(heap, HEAP_MAX_SIZE - heap->committed + 1, 0));
    assert_true(heap_grow(heap, HEAP_MAX_SIZE - heap->committed, 0));
    assert_int_equal(heap->committed, HEAP_MAX_SIZE);
    *heap_byte(heap, HEAP_MAX_SIZE - 1) = 1;
    assert_false(heap_grow(heap, 1, page));
    assert_int_equal(heap->committed, HEAP_MAX_SIZE);
    assert_true(heap_destroy(heap));
    /* What is wanted may be more than there is. */
    heap = create(page, page);
    assert_true(heap_grow(heap, page, 2 * HEAP_MAX_SIZE));
    assert_int_equal(heap->committed, HEAP_MAX_SIZE);
    assert_true(heap_destroy(heap));
}

static struct heap *create_small(size_t reserved)
{
    struct faulty_plan plan = no_reservation_from(reserved * 2);
    faulty_use(&plan);
    struct heap *heap = create(page, page);
    faulty_use(NULL);
    MUST(heap != NULL && heap->reserved == reserved);
    return heap;
}

static void a_small_reservation_grows_in_place(void **state)
{
    const size_t small = 1 << 20;
    (void)state;
    struct heap *heap = create_small(small);
    assert_true(heap_grow(heap, small, small));
    assert_int_equal(heap->reserved, HEAP_MAX_SIZE);
    assert_int_equal(heap->committed, with_header(1) + small);
    memset(heap_byte(heap, HEAP_HEADER_SIZE), 1,
           heap->committed - HEAP_HEADER_SIZE);
    assert_true(heap_destroy(heap));
    /* Not all that it would like, but what it needs. */
    heap = create_small(small);
    struct faulty_plan plan = no_reservation_from(2 * small);
    faulty_use(&plan);
    assert_true(heap_grow(heap, small, small));
    assert_int_equal(heap->reserved, small + HEAP_MIN_RESERVE);
    assert_int_equal(heap->committed, with_header(1) + small);
    faulty_use(NULL);
    assert_true(heap_grow(heap, HEAP_MAX_SIZE - heap->committed, 0));
    assert_int_equal(heap->reserved, HEAP_MAX_SIZE);
    assert_true(heap_destroy(heap));
    assert_false(is_mapped(heap));
    assert_false(is_mapped(heap_byte(heap, HEAP_MAX_SIZE - page)));
}

/* Something else lies behind the reservation. */
static void a_small_reservation_grows_into_nobody(void **state)
{
    const size_t small = 1 << 20;
    (void)state;
    struct heap *heap = create_small(small);
    char *taken = heap_byte(heap, small);
    assert_true(os_reserve_at(taken, page));
    assert_true(os_commit(taken, page));
    memset(taken, 0x5a, page);
    assert_false(heap_grow(heap, small, small));
    assert_int_equal(heap->committed, with_header(1));
    assert_int_equal(heap->reserved, small);
    assert_true(heap_grow(heap, small - heap->committed, small));
    assert_int_equal(heap->committed, small);
    assert_false(heap_grow(heap, 1, 1));
    assert_true(heap_destroy(heap));
    assert_int_equal(taken[0], 0x5a);
    assert_true(os_unmap(taken, page));
}

static void under_a_limit_reserve_a_sixteenth(void *unused)
{
    const size_t limit = (size_t)1 << 30;
    const struct rlimit limits = {limit, limit};
    (void)unused;
    MUST(setrlimit(RLIMIT_AS, &limits) == 0);
    struct heap *heap = create(page, page);
    MUST(heap != NULL && heap->reserved == limit / ADDRESS_SPACE_SHARE);
    MUST(heap_destroy(heap));
}

static void under_a_small_limit_reserve_little(void *unused)
{
    const size_t limit = 20 << 20;
    const struct rlimit limits = {limit, limit};
    (void)unused;
    MUST(setrlimit(RLIMIT_AS, &limits) == 0);
    struct heap *heap = create(page, page);
    MUST(heap != NULL && (uintptr_t)heap % HEAP_MAX_SIZE == 0);
    MUST(heap->reserved == limit / ADDRESS_SPACE_SHARE);
    /* More is had in place, unless another mapping is there by chance. */
    size_t more = round_up(heap->committed + (4 << 20), HEAP_MIN_RESERVE);
    if (!heap_grow(heap, 4 << 20, 4 << 20)) {
        MUST(!os_reserve_at(heap_byte(heap, heap->reserved),
                            more - heap->reserved));
        MUST(heap_destroy(heap));
        return;
    }
    MUST(heap->reserved >= heap->committed && heap->committed >= 4 << 20);
    memset(heap_byte(heap, HEAP_HEADER_SIZE), 1, 4 << 20);
    MUST(heap_destroy(heap));
}

/* Comes first: a limit is looked at once, before the first heap. */
static void a_limit_on_address_space_makes_heaps_small(void **state)
{
    (void)state;
    if (UNIT_UNDER_TSAN) {
        print_message("the sanitizer's own memory is above any such limit\n");
        skip();
    }
    child_must_succeed(under_a_limit_reserve_a_sixteenth, NULL);
    child_must_succeed(under_a_small_limit_reserve_little, NULL);
}

/* ---- runs --------------------------------------------------------------- */

static void a_heap_has_no_run_at_first(void **state)
{
    (void)state;
    struct heap *heap = create(page, page);
    assert_null(heap->runs);
    for (size_t at = 0; at < HEAP_MAX_SIZE; at += RUN_SIZE) {
        assert_int_equal(heap_run_class(heap, heap_byte(heap, at)), 0);
    }
    assert_true(heap_destroy(heap));
}

/* A byte for each 16 KiB of 64 MiB, WATCHED or not. */
static void every_page_has_its_own_class(void **state)
{
    (void)state;
    struct heap *heap = create(page, page);
    assert_int_equal(HEAP_PAGES, 4096);
    for (unsigned i = 0; i < HEAP_PAGES; i++) {
        unsigned size_class = CHUNK_CLASSES + i % RUN_CLASSES;
        unsigned byte = 1 + i % RUN_CLASSES;
        char *first = heap_byte(heap, i * RUN_SIZE);
        char *last = heap_byte(heap, (i + 1) * RUN_SIZE - 1);
        MUST(heap_page_of(first) == i && heap_page_of(last) == i);
        heap->page_class[i] = (uint8_t)byte;
        MUST(heap_page_byte(heap, first) == byte);
        MUST(heap_run_class(heap, first) == size_class);
        heap->page_class[i] = (uint8_t)(byte | RUN_WATCHED);
        MUST(heap_page_byte(heap, last) == (byte | RUN_WATCHED));
        MUST(heap_run_class(heap, last) == size_class);
        MUST(i + 1 == HEAP_PAGES || heap_page_byte(heap, last + 1) == 0);
    }
    assert_true(heap_destroy(heap));
}

/* ... and one for what was given back to it. No other byte is changed. */
static void every_page_remembers_what_was_given(void **state)
{
    enum { FIRST = 100, PAGES = RUN_SPAN_MAX };
    (void)state;
    struct heap *heap = create(page, page);
    struct heap before = *heap;
    for (unsigned i = 0; i < HEAP_PAGES; i++) {
        heap_note_given(heap, heap_byte(heap, (i + 1) * RUN_SIZE - 1));
        MUST(heap->page_given[i] == GIVEN_LATELY);
        MUST(i + 1 == HEAP_PAGES || heap->page_given[i + 1] == GIVEN_NOTHING);
    }
    heap_forget_given(heap, heap_byte(heap, FIRST * RUN_SIZE), PAGES);
    for (unsigned i = 0; i < HEAP_PAGES; i++) {
        bool is_forgotten = i >= FIRST && i < FIRST + PAGES;
        MUST(heap->page_given[i] ==
             (is_forgotten ? GIVEN_NOTHING : GIVEN_LATELY));
    }
    heap_forget_given(heap, heap_byte(heap, 0), HEAP_PAGES);
    assert_memory_equal(heap, &before, sizeof before);
    assert_true(heap_destroy(heap));
}

/* Its memory goes back when no span is left; the table stays. */
static void the_table_of_runs_goes_back_with_the_last_span(void **state)
{
    const struct faulty_plan refuse = {
        .kinds = FAULTY_MADVISE, .first = 1, .how_many = 1};
    (void)state;
    struct heap *heap = create(page, page);
    heap_return_runs(heap);
    assert_true(heap_prepare_runs(heap));
    struct run *runs = heap->runs;
    for (unsigned i = 0; i < 300; i++) {
        runs[i].pages = 1;
    }
    heap_note_span(heap, 300);
    heap_note_span(heap, 200);
    heap_return_runs(heap);
    heap_forget_span(heap);
    heap_return_runs(heap);
    assert_int_equal(runs[0].pages, 1);
    heap_forget_span(heap);
    faulty_use(&refuse);
    heap_return_runs(heap);
    assert_int_equal(runs[0].pages, 1);
    heap_return_runs(heap);
    assert_int_equal(faulty_calls_counted(), 2);
    for (unsigned i = 0; i < 300; i++) {
        MUST(runs[i].pages == 0);
    }
    /* Once is enough. */
    heap_return_runs(heap);
    assert_int_equal(faulty_calls_counted(), 2);
    faulty_use(NULL);
    assert_ptr_equal(heap->runs, runs);
    assert_true(heap_destroy(heap));
}

/* It is zero, one entry for each page, and there is one table. */
static void a_heap_gets_a_table_of_runs(void **state)
{
    const struct faulty_plan count = {.kinds = FAULTY_MMAP};
    (void)state;
    struct heap *heap = create(page, page);
    faulty_use(&count);
    assert_true(heap_prepare_runs(heap));
    assert_int_equal(faulty_calls_counted(), 1);
    struct run *runs = heap->runs;
    assert_true(heap_prepare_runs(heap));
    assert_ptr_equal(heap->runs, runs);
    assert_int_equal(faulty_calls_counted(), 1);
    assert_true(is_zero((char *)runs, HEAP_PAGES * sizeof *runs));
    for (size_t i = 0; i < HEAP_PAGES; i++) {
        MUST(heap_run_of(heap_byte(heap, i * RUN_SIZE)) == &runs[i]);
        MUST(heap_run_of(heap_byte(heap, i * RUN_SIZE + 999)) == &runs[i]);
    }
    assert_true(heap_destroy(heap));
    assert_false(is_mapped((void *)round_down((uintptr_t)runs, page)));
    assert_false(is_mapped(
        (void *)round_down((uintptr_t)(runs + HEAP_PAGES) - 1, page)));
}

static void without_memory_there_is_no_table(void **state)
{
    (void)state;
    struct heap *heap = create(page, page);
    struct faulty_plan plan = no_reservation_from(0);
    faulty_use(&plan);
    assert_false(heap_prepare_runs(heap));
    assert_int_equal(faulty_calls_refused(), 1);
    assert_null(heap->runs);
    faulty_use(NULL);
    assert_true(heap_prepare_runs(heap));
    assert_true(heap_destroy(heap));
}

/* What can be given back is; nobody is harmed by the rest. */
static void a_table_that_stays_does_not_keep_its_heap(void **state)
{
    const struct faulty_plan refuse_second = {
        .kinds = FAULTY_MUNMAP, .first = 2, .how_many = 1};
    (void)state;
    struct heap *heap = create(page, page);
    assert_true(heap_prepare_runs(heap));
    struct run *runs = heap->runs;
    faulty_use(&refuse_second);
    assert_true(heap_destroy(heap));
    assert_int_equal(faulty_calls_refused(), 1);
    faulty_use(NULL);
    assert_int_equal(owner_of(heap), 0);
    assert_int_equal(heap_count(), 0);
    assert_false(is_mapped(heap));
    assert_true(os_unmap(runs, HEAP_PAGES * sizeof *runs));
}

static void a_refused_end_keeps_the_table_of_runs(void **state)
{
    const struct faulty_plan refuse_first = {
        .kinds = FAULTY_MUNMAP, .first = 1, .how_many = 1};
    (void)state;
    struct heap *heap = create(page, page);
    assert_true(heap_prepare_runs(heap));
    struct run *runs = heap->runs;
    faulty_use(&refuse_first);
    assert_false(heap_destroy(heap));
    assert_int_equal(faulty_calls_counted(), 1);
    faulty_use(NULL);
    assert_ptr_equal(heap->runs, runs);
    runs[HEAP_PAGES - 1].objects = 1;
    assert_true(heap_destroy(heap));
}

/* ---- shrinking and the end ---------------------------------------------- */

static void what_is_shrunk_comes_back_zero(void **state)
{
    (void)state;
    struct heap *heap = create(8 * page, with_header(9));
    memset(heap_byte(heap, HEAP_HEADER_SIZE), 1,
           with_header(9) - HEAP_HEADER_SIZE);
    heap_note_touched(heap, heap_byte(heap, with_header(9)));
    assert_int_equal(heap_shrink(heap, heap_byte(heap, with_header(3) + 1)),
                     5 * page);
    assert_int_equal(heap->committed, with_header(4));
    assert_int_equal(heap->touched, with_header(4));
    assert_int_equal(*heap_byte(heap, with_header(4) - 1), 1);
    assert_int_equal(heap->reserved, HEAP_MAX_SIZE);
    assert_true(heap_grow(heap, 5 * page, 5 * page));
    assert_true(is_zero(heap_byte(heap, with_header(4)), 5 * page));
    assert_int_equal(heap->touched, with_header(4));
    assert_int_equal(heap_shrink(heap, heap_byte(heap, with_header(9) - 1)), 0);
    assert_int_equal(heap_shrink(heap, heap_byte(heap, with_header(19))), 0);
    assert_int_equal(heap->committed, with_header(9));
    assert_true(heap_destroy(heap));
}

static void shrinking_leaves_a_lower_touched_alone(void **state)
{
    (void)state;
    struct heap *heap = create(8 * page, with_header(9));
    heap_note_touched(heap, heap_byte(heap, HEAP_HEADER_SIZE + 1000));
    assert_int_equal(heap_shrink(heap, heap_byte(heap, with_header(3))),
                     6 * page);
    assert_int_equal(heap->touched, HEAP_HEADER_SIZE + 1000);
    assert_true(heap_destroy(heap));
}

static void a_refused_shrink_changes_nothing(void **state)
{
    const struct faulty_plan plan = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = 1};
    (void)state;
    struct heap *heap = create(8 * page, with_header(9));
    memset(heap_byte(heap, HEAP_HEADER_SIZE), 1,
           with_header(9) - HEAP_HEADER_SIZE);
    heap_note_touched(heap, heap_byte(heap, with_header(9)));
    faulty_use(&plan);
    assert_int_equal(heap_shrink(heap, heap_byte(heap, with_header(3))), 0);
    assert_int_equal(faulty_calls_refused(), 1);
    faulty_use(NULL);
    assert_int_equal(heap->committed, with_header(9));
    assert_int_equal(heap->touched, with_header(9));
    assert_int_equal(*heap_byte(heap, with_header(9) - 1), 1);
    assert_true(heap_destroy(heap));
}

static void a_destroyed_heap_is_gone(void **state)
{
    (void)state;
    struct heap *heap = create(page, page);
    assert_true(heap_destroy(heap));
    assert_int_equal(owner_of(heap), 0);
    assert_int_equal(heap_count(), 0);
    assert_false(is_mapped(heap));
    assert_false(is_mapped(heap_byte(heap, HEAP_MAX_SIZE - page)));
}

static void a_refused_end_leaves_the_heap_as_it_was(void **state)
{
    const struct faulty_plan plan = {
        .kinds = FAULTY_MUNMAP, .first = 1, .how_many = 1};
    (void)state;
    struct heap *heap = create(page, with_header(1));
    memset(heap_byte(heap, HEAP_HEADER_SIZE), 1, page);
    struct heap header = *heap;
    faulty_use(&plan);
    assert_false(heap_destroy(heap));
    faulty_use(NULL);
    assert_memory_equal(heap, &header, sizeof header);
    assert_int_equal(*heap_byte(heap, HEAP_HEADER_SIZE), 1);
    assert_int_equal(owner_of(heap), NUMBER);
    assert_int_equal(heap_count(), 1);
    assert_true(heap_destroy(heap));
    assert_int_equal(heap_count(), 0);
}

static void advise_for_the_first_heap_only(void *unused)
{
    const struct faulty_plan inside = {
        .kinds = FAULTY_MADVISE,
        .low = (uintptr_t)heap_tag,
        .high = (uintptr_t)heap_tag + sizeof heap_tag,
    };
    (void)unused;
    faulty_use(&inside);
    struct heap *first = create(page, page);
    MUST(faulty_calls_counted() == 1);
    struct heap *second = create(page, page);
    MUST(faulty_calls_counted() == 1);
    MUST(heap_destroy(first) && heap_destroy(second));
}

static void the_first_heap_prepares_the_owner_table(void **state)
{
    (void)state;
    child_must_succeed(advise_for_the_first_heap_only, NULL);
}

static void create_too_much(void *unused)
{
    (void)unused;
    create(HEAP_MAX_SIZE, 0);
}

static void no_heap_holds_more_than_64_mib(void **state)
{
    (void)state;
    child_must_fail_assertion(create_too_much, NULL,
                              "need <= HEAP_MAX_SIZE - HEAP_HEADER_SIZE");
}

#define heap_test(name) cmocka_unit_test_teardown(name, no_heap_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        heap_test(a_limit_on_address_space_makes_heaps_small),
        heap_test(the_first_heap_prepares_the_owner_table),
        heap_test(a_heap_is_aligned_tagged_and_writable),
        heap_test(the_need_counts_behind_the_header),
        heap_test(more_than_the_reservation_cannot_be_committed),
        heap_test(only_committed_chunks_are_contained),
        heap_test(touched_only_rises),
        heap_test(heaps_lie_side_by_side),
        heap_test(a_taken_place_is_left_alone),
        heap_test(without_room_for_slack_a_probe_finds_the_place),
        heap_test(slack_that_cannot_be_cut_off_is_given_back),
        heap_test(the_reservation_is_halved_until_it_is_granted),
        heap_test(a_smaller_reservation_still_serves_the_need),
        heap_test(when_all_is_refused_there_is_no_heap),
        heap_test(what_is_refused_anywhere_is_not_asked_for_everywhere),
        heap_test(when_only_the_need_can_be_committed_it_is),
        heap_test(when_nothing_can_be_committed_nothing_is_kept),
        heap_test(a_heap_grows_by_what_is_wanted),
        heap_test(a_heap_grows_to_64_mib_and_no_further),
        heap_test(a_small_reservation_grows_in_place),
        heap_test(a_small_reservation_grows_into_nobody),
        heap_test(what_is_shrunk_comes_back_zero),
        heap_test(shrinking_leaves_a_lower_touched_alone),
        heap_test(a_refused_shrink_changes_nothing),
        heap_test(a_destroyed_heap_is_gone),
        heap_test(a_heap_has_no_run_at_first),
        heap_test(every_page_has_its_own_class),
        heap_test(every_page_remembers_what_was_given),
        heap_test(a_heap_gets_a_table_of_runs),
        heap_test(the_table_of_runs_goes_back_with_the_last_span),
        heap_test(without_memory_there_is_no_table),
        heap_test(a_table_that_stays_does_not_keep_its_heap),
        heap_test(a_refused_end_keeps_the_table_of_runs),
        heap_test(a_refused_end_leaves_the_heap_as_it_was),
        heap_test(no_heap_holds_more_than_64_mib),
    };
    page = os_page_size();
    header_pages = round_up(HEAP_HEADER_SIZE, page);
    return UNIT_RUN(tests);
}
