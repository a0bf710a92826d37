/*
 * run.c - objects of runs: where they begin, which are taken and in what order,
 * and what the map, the buckets and the sums say after each step; spans and
 * their pages; and which quarters of a page have nothing in use.
 *
 * A run does not know what its memory is, so the pages of these tests lie in an
 * array, and what a heap has of them in two others.
 */
#include "run.h"

#include "unit.h"

#include "child.h"
#include "rng.h"
#include "seal.h"

enum {
    RUNS = RUN_SPAN_MAX + 4,
    ALL = (1 << RUN_QUARTERS) - 1,
    MOST = RUN_SIZE / MALLOC_ALIGNMENT,
};

static _Alignas(RUN_SIZE) char memory[RUNS * RUN_SIZE];
static struct run runs[RUNS];
static uint8_t page_bytes[RUNS];
static struct run_set set;
static void *mems[RUNS * MOST];

static int begin_anew(void **state)
{
    (void)state;
    seal_prepare();
    memset(memory, 0, sizeof memory);
    memset(runs, 0, sizeof runs);
    memset(page_bytes, 0, sizeof page_bytes);
    memset(&set, 0, sizeof set);
    return 0;
}

static char *memory_of(size_t number)
{
    return memory + number * RUN_SIZE;
}

static void add_span(size_t number, unsigned pages)
{
    run_add_span(&set, &runs[number], &page_bytes[number], memory_of(number),
                 pages);
}

/* In a span of one page. */
static struct run *begin(size_t number, unsigned size_class)
{
    struct run *run = &runs[number];
    add_span(number, 1);
    MUST(run_take_spare(&set) == run);
    run_begin(&set, run, size_class);
    return run;
}

static struct run *run_of(const void *mem)
{
    return &runs[(size_t)((const char *)mem - memory) / RUN_SIZE];
}

/* As an arena does it. */
static bool give(void *mem)
{
    struct run *run = run_of(mem);
    unsigned size_class = run->size_class;
    if (!run_give(run, run_index_of(size_class, mem))) {
        return false;
    }
    run->free++;
    run_count_returned(&set, size_class, 1);
    if (run_is_unsettled(run) && !run_is_empty(run)) {
        run_settle(&set, run);
    }
    return true;
}

static void totals_must_be(size_t objects, size_t bytes)
{
    assert_int_equal(set.free_objects, objects);
    assert_int_equal(set.free_bytes, bytes);
}

/* The run is in the bucket that it says, and only there, if it has objects to
 * give, and else in none. */
static void must_be_in_its_bucket(const struct run *run)
{
    unsigned met = 0;
    for (unsigned i = 0; i < RUN_CLASSES; i++) {
        for (unsigned bucket = 0; bucket < RUN_BUCKETS; bucket++) {
            const struct run *at = set.buckets[i][bucket];
            for (; at != NULL; at = at->next) {
                bool is_right = CHUNK_CLASSES + i == run->size_class &&
                                bucket == run->bucket;
                MUST(at != run || is_right);
                met += at == run;
            }
        }
    }
    MUST(met == (run->free > 0));
}

/* ---- where objects begin ------------------------------------------------ */

/* Every class and every byte of the page. */
static void objects_begin_at_multiples_of_their_size(void **state)
{
    (void)state;
    for (unsigned number = CHUNK_CLASSES; number < CLASS_COUNT; number++) {
        size_t size = class_size(number);
        for (size_t offset = 0; offset < RUN_SIZE; offset++) {
            bool is_object = offset % size == 0 &&
                             offset + size <= RUN_SIZE - sizeof(size_t);
            MUST(run_has_object_at(number, memory + offset) == is_object);
            if (is_object) {
                MUST(run_index_of(number, memory + offset) == offset / size);
            }
        }
    }
}

/* Whatever page it is. */
static void the_page_does_not_matter(void **state)
{
    static const uintptr_t pages[] = {RUN_SIZE, (uintptr_t)1 << 46,
                                      ((uintptr_t)1 << 47) - RUN_SIZE};
    (void)state;
    for (size_t i = 0; i < count_of(pages); i++) {
        const char *page = (const char *)pages[i];
        assert_true(run_has_object_at(CHUNK_CLASSES + 2, page + 96));
        assert_int_equal(run_index_of(CHUNK_CLASSES + 2, page + 96), 2);
        assert_false(run_has_object_at(CHUNK_CLASSES + 2, page + 64));
    }
}

/* The size word of what is behind is no object's. */
static void a_run_is_full_of_objects(void **state)
{
    (void)state;
    assert_int_equal(run_objects(CHUNK_CLASSES), MOST - 1);
    assert_int_equal(run_objects(CLASS_COUNT - 1), 15);
    for (unsigned number = CHUNK_CLASSES; number < CLASS_COUNT; number++) {
        size_t used = run_objects(number) * class_size(number);
        assert_true(used <= RUN_SIZE - 8);
        assert_true(used + class_size(number) > RUN_SIZE - 8);
    }
}

/* ---- marks -------------------------------------------------------------- */

static void a_mark_is_of_one_address(void **state)
{
    (void)state;
    assert_false(object_is_marked(memory));
    object_set_mark(memory);
    assert_true(object_is_marked(memory));
    /* A copy of the bytes says nothing at another place. */
    memcpy(memory + 32, memory, 32);
    assert_false(object_is_marked(memory + 32));
    /* Any bit of it counts. */
    for (unsigned bit = 0; bit < 64; bit++) {
        memory[8 + bit / 8] = (char)(memory[8 + bit / 8] ^ 1 << bit % 8);
        assert_false(object_is_marked(memory));
        memory[8 + bit / 8] = (char)(memory[8 + bit / 8] ^ 1 << bit % 8);
    }
    assert_true(object_is_marked(memory));
    object_wipe_mark(memory);
    assert_false(object_is_marked(memory));
}

/* The second word, which the smallest object has, and nothing else. */
static void a_mark_is_the_second_word(void **state)
{
    (void)state;
    memset(memory, 0x5a, 64);
    object_set_mark(memory + 16);
    for (size_t i = 0; i < 64; i++) {
        assert_true(memory[i] == 0x5a || (i >= 24 && i < 32));
    }
    object_wipe_mark(memory + 16);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(memory[i], i >= 24 && i < 32 ? 0 : 0x5a);
    }
}

/* ---- taking and giving -------------------------------------------------- */

static void take_all(unsigned number)
{
    size_t size = class_size(number);
    unsigned objects = run_objects(number);
    struct run *run = begin(1, number);
    MUST(run_is_empty(run) && !run_is_sound(run));
    MUST(run_take(&set, number, mems, MOST) == objects);
    for (unsigned i = 0; i < objects; i++) {
        MUST(mems[i] == memory_of(1) + i * size);
        MUST(object_is_marked(mems[i]));
        MUST(!run_has_free(run, number, mems[i]));
    }
    MUST(run->free == 0 && run_is_sound(run) && !run_is_unsettled(run));
    must_be_in_its_bucket(run);
    MUST(set.free_objects == 0 && set.free_bytes == 0 && set.count == 1);
    MUST(run_take(&set, number, mems + MOST, 1) == 0);
}

/* All are there, once, in the order of memory; and all come back. */
static void a_run_gives_all_of_its_objects(void **state)
{
    (void)state;
    for (unsigned number = CHUNK_CLASSES; number < CLASS_COUNT; number++) {
        begin_anew(NULL);
        take_all(number);
        unsigned objects = run_objects(number);
        for (unsigned i = 0; i < objects; i++) {
            MUST(!run_is_empty(&runs[1]));
            MUST(give(mems[i]));
            MUST(run_has_free(&runs[1], number, mems[i]));
            MUST(runs[1].free == i + 1 && set.free_objects == i + 1);
            must_be_in_its_bucket(&runs[1]);
        }
        MUST(run_is_empty(&runs[1]) && run_is_unsettled(&runs[1]));
        MUST(set.free_bytes == objects * class_size(number));
        run_retire(&set, &runs[1]);
        MUST(set.count == 0 && set.free_objects == 0 && set.free_bytes == 0);
    }
}

/* Nothing of the others' memory is touched, nor the word behind the last. */
static void only_what_is_taken_is_marked(void **state)
{
    enum { CLASS = CHUNK_CLASSES + 2 };
    (void)state;
    memset(memory, 0x5a, sizeof memory);
    begin(1, CLASS);
    assert_int_equal(run_take(&set, CLASS, mems, 3), 3);
    for (size_t i = 0; i < sizeof memory; i++) {
        size_t offset = i - RUN_SIZE;
        bool is_mark = offset < 3 * 48 && offset % 48 / 8 == 1;
        MUST(is_mark || memory[i] == 0x5a);
    }
}

static void less_than_all_may_be_taken(void **state)
{
    enum { CLASS = CHUNK_CLASSES + 3 };
    (void)state;
    begin(0, CLASS);
    assert_int_equal(run_take(&set, CLASS, mems, 0), 0);
    assert_int_equal(run_take(&set, CLASS, mems, 100), 100);
    assert_int_equal(run_take(&set, CLASS, mems + 100, 100), 100);
    for (size_t i = 0; i < 200; i++) {
        assert_ptr_equal(mems[i], memory + i * 64);
    }
    totals_must_be(55, 55 * 64);
    assert_true(run_is_sound(&runs[0]));
    must_be_in_its_bucket(&runs[0]);
}

static void classes_do_not_mix(void **state)
{
    (void)state;
    begin(0, CHUNK_CLASSES);
    begin(1, CLASS_COUNT - 1);
    assert_int_equal(run_take(&set, CHUNK_CLASSES + 1, mems, 1), 0);
    assert_int_equal(run_take(&set, CHUNK_CLASSES, mems, 1), 1);
    assert_ptr_equal(mems[0], memory);
    assert_int_equal(run_take(&set, CLASS_COUNT - 1, mems, MOST), 15);
    assert_ptr_equal(mems[0], memory_of(1));
    totals_must_be(MOST - 2, (MOST - 2) * 16);
    assert_int_equal(set.count, 2);
}

static void the_holes_are_filled_by_rising_address(void **state)
{
    enum { CLASS = CHUNK_CLASSES };
    static const size_t holes[] = {0, 63, 64, 500, 1022};
    (void)state;
    begin(0, CLASS);
    assert_int_equal(run_take(&set, CLASS, mems, MOST), MOST - 1);
    for (size_t i = count_of(holes); i-- > 0;) {
        assert_true(give(memory + 16 * holes[i]));
    }
    assert_int_equal(run_take(&set, CLASS, mems, MOST), count_of(holes));
    for (size_t i = 0; i < count_of(holes); i++) {
        assert_ptr_equal(mems[i], memory + 16 * holes[i]);
    }
}

static void what_is_free_cannot_be_given(void **state)
{
    enum { CLASS = CHUNK_CLASSES + 5 };
    (void)state;
    begin(0, CLASS);
    assert_false(give(memory));
    begin_anew(NULL);
    begin(0, CLASS);
    assert_int_equal(run_take(&set, CLASS, mems, 70), 70);
    assert_true(give(mems[65]));
    assert_false(give(mems[65]));
}

static void several_runs_serve_one_request(void **state)
{
    enum { CLASS = CLASS_COUNT - 1 };
    bool seen[RUNS] = {false};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        begin(i, CLASS);
    }
    assert_int_equal(set.count, 4);
    assert_int_equal(run_take(&set, CLASS, mems, 50), 50);
    for (size_t i = 0; i < 50; i++) {
        seen[run_of(mems[i]) - runs] = true;
        for (size_t j = 0; j < i; j++) {
            assert_ptr_not_equal(mems[i], mems[j]);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        assert_true(seen[i]);
        must_be_in_its_bucket(&runs[i]);
    }
    totals_must_be(10, 10 * 1024);
}

/* ---- buckets ------------------------------------------------------------ */

/* By quarters, for every class; and it moves as soon as it has one object more
 * than the bucket's most. */
static void a_run_is_in_the_bucket_of_its_share(void **state)
{
    (void)state;
    for (unsigned number = CHUNK_CLASSES; number < CLASS_COUNT; number++) {
        begin_anew(NULL);
        struct run *run = begin(0, number);
        unsigned objects = run_objects(number);
        unsigned quarter = objects / 4;
        run_take(&set, number, mems, objects);
        for (unsigned free = 1; free < objects; free++) {
            MUST(give(mems[free]));
            unsigned bucket = free <= quarter       ? 0
                              : free <= 2 * quarter ? 1
                              : free <= 3 * quarter ? 2
                                                    : 3;
            MUST(run->bucket == bucket && run_is_sound(run));
            must_be_in_its_bucket(run);
        }
        /* And back again. */
        for (unsigned free = objects - 1; free > 0; free--) {
            MUST(run->free == free);
            MUST(run_take(&set, number, mems, 1) == 1);
            MUST(run_is_sound(run));
            must_be_in_its_bucket(run);
        }
    }
}

static void the_fullest_run_is_taken_from_first(void **state)
{
    enum { CLASS = CHUNK_CLASSES + 15 }; /* 63 objects */
    static const size_t order[] = {2, 0, 3, 1};
    static const size_t free[] = {20, 60, 5, 40};
    (void)state;
    for (size_t i = 0; i < count_of(free); i++) {
        begin(i, CLASS);
    }
    assert_int_equal(run_take(&set, CLASS, mems, 4 * 63), 4 * 63);
    for (size_t i = 0; i < count_of(free); i++) {
        for (size_t j = 0; j < free[i]; j++) {
            assert_true(give(memory_of(i) + j * 256));
        }
    }
    for (size_t i = 0; i < count_of(order); i++) {
        size_t count = free[order[i]];
        assert_int_equal(run_take(&set, CLASS, mems, count), count);
        for (size_t j = 0; j < count; j++) {
            assert_ptr_equal(run_of(mems[j]), &runs[order[i]]);
        }
    }
    totals_must_be(0, 0);
}

/* From the middle of a list, its beginning and its end. */
static void a_run_leaves_its_bucket_from_any_place(void **state)
{
    enum { CLASS = CLASS_COUNT - 1 };
    (void)state;
    for (size_t which = 0; which < 3; which++) {
        begin_anew(NULL);
        for (size_t i = 0; i < 3; i++) {
            begin(i, CLASS);
        }
        run_take(&set, CLASS, mems, 45);
        for (size_t i = 0; i < 3; i++) {
            assert_true(give(memory_of(i)));
        }
        for (size_t object = 1; object < 8; object++) {
            assert_true(give(memory_of(which) + object * 1024));
        }
        for (size_t i = 0; i < 3; i++) {
            must_be_in_its_bucket(&runs[i]);
            assert_true(run_is_sound(&runs[i]));
        }
    }
}

/* ---- spares ------------------------------------------------------------- */

static void an_empty_run_becomes_a_spare(void **state)
{
    (void)state;
    assert_null(run_take_spare(&set));
    for (size_t i = 0; i < 3; i++) {
        begin(i, CHUNK_CLASSES + (unsigned)i);
    }
    for (size_t i = 0; i < 3; i++) {
        run_retire(&set, &runs[i]);
        assert_int_equal(runs[i].objects, 0);
        assert_ptr_equal(runs[i].start, memory_of(i));
        assert_int_equal(set.spares, i + 1);
        assert_int_equal(set.count, 2 - i);
    }
    totals_must_be(0, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(run_take(&set, CHUNK_CLASSES + (unsigned)i, mems, 1),
                         0);
    }
    for (size_t i = 3; i-- > 0;) {
        assert_ptr_equal(run_take_spare(&set), &runs[i]);
        assert_int_equal(set.spares, i);
    }
    assert_null(run_take_spare(&set));
}

/* A page of small objects has large ones next, and small ones again: the map
 * has a bit for each and no other. */
static void a_spare_serves_any_class(void **state)
{
    static const unsigned classes[] = {CHUNK_CLASSES, CLASS_COUNT - 1,
                                       CHUNK_CLASSES + 3, CHUNK_CLASSES};
    (void)state;
    add_span(0, 1);
    for (size_t i = 0; i < count_of(classes); i++) {
        struct run *run = run_take_spare(&set);
        assert_ptr_equal(run, &runs[0]);
        run_begin(&set, run, classes[i]);
        assert_int_equal(page_bytes[0], run_shape_index(classes[i]));
        unsigned objects = run_objects(classes[i]);
        assert_int_equal(run->free, objects);
        assert_int_equal(run_take(&set, classes[i], mems, MOST), objects);
        assert_true(run_is_sound(run));
        for (unsigned j = 0; j < objects; j++) {
            assert_true(give(mems[j]));
        }
        run_retire(&set, run);
        assert_int_equal(page_bytes[0], 0);
    }
}

static void retire_what_is_used(void *unused)
{
    (void)unused;
    begin(0, CHUNK_CLASSES);
    run_take(&set, CHUNK_CLASSES, mems, 1);
    run_retire(&set, &runs[0]);
}

static void only_an_empty_run_is_retired(void **state)
{
    (void)state;
    child_must_fail_assertion(retire_what_is_used, NULL, "run_is_empty(run)");
}

/* ---- spans --------------------------------------------------------------
 */

static size_t length_of(const struct run *list)
{
    size_t length = 0;
    const struct run *previous = NULL;
    for (; list != NULL; list = list->next) {
        MUST(list->previous == previous);
        previous = list;
        length++;
    }
    return length;
}

static void pages_must_be(size_t spares, size_t in_empty_spans)
{
    assert_int_equal(set.spares, spares);
    assert_int_equal(set.empty_pages, in_empty_spans);
    assert_int_equal(length_of(set.spare), spares - in_empty_spans);
}

/* Page after page, by rising address; the last one that is retired makes it
 * empty, whichever that is. */
static void spread_and_collect(unsigned pages, unsigned last)
{
    begin_anew(NULL);
    add_span(1, pages);
    pages_must_be(pages, pages);
    for (unsigned i = 0; i < pages; i++) {
        struct run *run = run_take_spare(&set);
        assert_ptr_equal(run, &runs[1 + i]);
        assert_ptr_equal(run->start, memory_of(1 + i));
        assert_ptr_equal(run_first_of_span(run), &runs[1]);
        run_begin(&set, run, CHUNK_CLASSES + i % RUN_CLASSES);
        assert_int_equal(page_bytes[1 + i], i % RUN_CLASSES + 1);
        assert_int_equal(runs[1].used, i + 1);
        pages_must_be(pages - 1 - i, 0);
    }
    assert_null(run_take_spare(&set));
    assert_null(run_take_empty_span(&set));
    for (unsigned i = 0; i < pages; i++) {
        if (i != last) {
            run_retire(&set, &runs[1 + i]);
        }
    }
    pages_must_be(pages - 1, 0);
    assert_int_equal(page_bytes[1 + last], last % RUN_CLASSES + 1);
    run_retire(&set, &runs[1 + last]);
    pages_must_be(pages, pages);
    for (unsigned i = 0; i < pages; i++) {
        assert_int_equal(page_bytes[1 + i], 0);
    }
    assert_int_equal(length_of(set.empty), 1);
}

static void a_span_is_spread_and_collected(void **state)
{
    (void)state;
    for (unsigned pages = 1; pages <= RUN_SPAN_MAX; pages++) {
        for (unsigned last = 0; last < pages; last++) {
            spread_and_collect(pages, last);
            assert_ptr_equal(run_take_empty_span(&set), &runs[1]);
            pages_must_be(0, 0);
            assert_int_equal(runs[1].pages, 0);
            assert_null(run_take_spare(&set));
            /* Nothing outside of it was touched. */
            static const struct run none;
            assert_memory_equal(&runs[0], &none, sizeof none);
            assert_memory_equal(&runs[1 + pages], &none, sizeof none);
        }
    }
}

/* What one has begun to use is used up before another is begun. */
static void empty_spans_wait_their_turn(void **state)
{
    (void)state;
    add_span(0, 2);
    add_span(2, 5);
    add_span(7, 1);
    pages_must_be(8, 8);
    assert_ptr_equal(run_take_spare(&set), &runs[7]);
    pages_must_be(7, 7);
    assert_ptr_equal(run_take_spare(&set), &runs[2]);
    pages_must_be(6, 2);
    for (size_t i = 3; i < 7; i++) {
        assert_ptr_equal(run_take_spare(&set), &runs[i]);
    }
    pages_must_be(2, 2);
    assert_ptr_equal(run_take_empty_span(&set), &runs[0]);
    pages_must_be(0, 0);
    assert_null(run_take_spare(&set));
}

/* From the beginning of the list, its middle and its end. */
static void a_span_is_collected_among_others(void **state)
{
    (void)state;
    for (size_t which = 0; which < 3; which++) {
        begin_anew(NULL);
        for (size_t i = 0; i < 3; i++) {
            add_span(4 * i, 4);
            run_begin(&set, run_take_spare(&set), CHUNK_CLASSES);
            /* So that the next one is begun. */
            while (set.spares > 0) {
                run_begin(&set, run_take_spare(&set), CHUNK_CLASSES);
            }
        }
        for (size_t page = 0; page < 12; page++) {
            if (page % 4 < 3) {
                run_retire(&set, &runs[page]);
            }
        }
        pages_must_be(9, 0);
        run_retire(&set, &runs[4 * which + 3]);
        pages_must_be(10, 4);
        assert_ptr_equal(run_take_empty_span(&set), &runs[4 * which]);
        pages_must_be(6, 0);
        for (size_t left = 6; left > 0; left--) {
            const struct run *run = run_take_spare(&set);
            assert_int_not_equal((run - runs) / 4, which);
        }
    }
}

/* Pages of a span that has gone may become others. */
static void pages_may_lie_in_other_spans_later(void **state)
{
    (void)state;
    add_span(0, 8);
    run_note_returned(&runs[3], 1);
    assert_ptr_equal(run_take_empty_span(&set), &runs[0]);
    add_span(3, 1);
    add_span(4, 3);
    assert_int_equal(runs[3].dirty, ALL);
    for (size_t i = 4; i < 7; i++) {
        assert_ptr_equal(run_take_spare(&set), &runs[i]);
        assert_ptr_equal(run_first_of_span(&runs[i]), &runs[4]);
    }
    assert_ptr_equal(run_take_spare(&set), &runs[3]);
    assert_int_equal(runs[3].used, 1);
    assert_int_equal(runs[4].used, 3);
}

/* ---- quarters -----------------------------------------------------------
 */

static bool is_in_use(const struct run *run, const char *mem)
{
    return !run_has_free(run, run->size_class, mem);
}

/* By each object, and each byte of it. */
static unsigned idle_by_definition(const struct run *run, bool is_last)
{
    unsigned quarters = run->dirty & (unsigned)(is_last ? ALL >> 1 : ALL);
    size_t size = class_size(run->size_class);
    for (size_t i = 0; i < run->objects; i++) {
        for (size_t at = i * size; at < (i + 1) * size; at += 16) {
            if (is_in_use(run, run->start + i * size)) {
                quarters &= ~(1u << at / RUN_QUARTER);
            }
        }
    }
    return quarters;
}

/* As the kernel does it. */
static void return_quarters(struct run *run, unsigned quarters)
{
    run_note_returned(run, quarters);
    for (unsigned quarter = 0; quarter < RUN_QUARTERS; quarter++) {
        if ((quarters >> quarter & 1) != 0) {
            memset(run->start + quarter * RUN_QUARTER, 0, RUN_QUARTER);
        }
    }
}

static bool is_watched(const struct run *run)
{
    MUST((*run->byte & ~(unsigned)RUN_WATCHED) ==
         run_shape_index(run->size_class));
    return (*run->byte & RUN_WATCHED) != 0;
}

/* What is free is marked, unless its mark went with its quarter: but for
 * objects that never were with anybody. */
static void must_be_marked(const struct run *run)
{
    size_t size = class_size(run->size_class);
    for (size_t i = 0; i < run->objects; i++) {
        const char *mem = run->start + i * size;
        bool is_clean = (run->dirty >> i * size / RUN_QUARTER & 1) == 0;
        MUST(object_is_marked(mem) != is_clean);
        MUST(!is_clean || !is_in_use(run, mem));
    }
}

/* All objects of a run, some of which come back. */
static void every_quarter_is_told_from_the_objects(void **state)
{
    struct rng rng = {23};
    (void)state;
    for (unsigned number = CHUNK_CLASSES; number < CLASS_COUNT; number++) {
        begin_anew(NULL);
        add_span(0, 2);
        unsigned objects = run_objects(number);
        for (size_t page = 0; page < 2; page++) {
            struct run *run = run_take_spare(&set);
            run_begin(&set, run, number);
            run_take(&set, number, mems, objects);
            for (size_t round = 0; round < 40; round++) {
                size_t from = rng_below(&rng, objects);
                size_t to = from + rng_below(&rng, objects - from) + 1;
                for (size_t i = from; i < to; i++) {
                    if (is_in_use(run, mems[i]) && run->free + 1u < objects) {
                        MUST(give(mems[i]));
                    }
                }
                MUST(run_idle_quarters(run) ==
                     idle_by_definition(run, page == 1));
                if (round % 8 == 7) {
                    void *again[MOST];
                    run_take(&set, number, again, run->free);
                    MUST(run_idle_quarters(run) == 0);
                }
            }
            run_take(&set, number, mems + objects, run->free);
        }
    }
}

/* Each object alone, in use and then free. */
static void one_object_keeps_the_quarters_that_it_is_in(void **state)
{
    (void)state;
    for (unsigned number = CHUNK_CLASSES; number < CLASS_COUNT; number++) {
        begin_anew(NULL);
        struct run *run = begin(0, number);
        size_t size = class_size(number);
        unsigned objects = run_objects(number);
        run_take(&set, number, mems, objects);
        for (unsigned i = 1; i < objects; i++) {
            MUST(give(mems[i]));
        }
        for (unsigned i = 0; i < objects; i++) {
            size_t first = i * size / RUN_QUARTER;
            size_t last = ((i + 1) * size - 1) / RUN_QUARTER;
            unsigned kept = 1u << first | 1u << last | 1u << 3;
            MUST(run_idle_quarters(run) == (ALL & ~kept));
            /* The next one takes its place. */
            if (i + 1 < objects) {
                run->free_map[i / 64] |= (uint64_t)1 << i % 64;
                run->free_map[(i + 1) / 64] &= ~((uint64_t)1 << (i + 1) % 64);
            }
        }
    }
}

static void all_of_a_spare_is_idle_but_the_end_of_its_span(void **state)
{
    (void)state;
    for (unsigned pages = 1; pages <= RUN_SPAN_MAX; pages++) {
        begin_anew(NULL);
        add_span(0, pages);
        for (unsigned i = 0; i < pages; i++) {
            unsigned idle = i + 1 < pages ? ALL : ALL >> 1;
            assert_int_equal(run_idle_quarters(&runs[i]), idle);
            run_note_returned(&runs[i], idle & 5);
            assert_int_equal(run_idle_quarters(&runs[i]), idle & ~5u);
            assert_int_equal(page_bytes[i], 0);
            /* Refused. */
            run_note_refused(&runs[i], 4);
            assert_int_equal(run_idle_quarters(&runs[i]), idle & ~1u);
            assert_int_equal(page_bytes[i], 0);
        }
    }
}

/* What a spare has given back, the run that it becomes has not. */
static void a_run_on_a_clean_page_is_watched(void **state)
{
    (void)state;
    add_span(0, 2);
    return_quarters(&runs[0], 2);
    struct run *run = run_take_spare(&set);
    run_begin(&set, run, CHUNK_CLASSES);
    assert_true(is_watched(run));
    run = run_take_spare(&set);
    run_begin(&set, run, CLASS_COUNT - 1);
    assert_false(is_watched(run));
}

/* Until each of them has an object again, in any order. */
static void a_page_is_watched_until_it_is_dirty(void **state)
{
    (void)state;
    for (unsigned number = CHUNK_CLASSES; number < CLASS_COUNT; number++) {
        begin_anew(NULL);
        struct run *run = begin(0, number);
        unsigned objects = run_objects(number);
        run_take(&set, number, mems, objects);
        assert_false(is_watched(run));
        for (unsigned i = 1; i < objects; i++) {
            MUST(give(mems[i]));
        }
        unsigned idle = run_idle_quarters(run);
        return_quarters(run, idle);
        MUST(is_watched(run) && run_is_sound(run));
        must_be_marked(run);
        while (run->free > 0) {
            void *mem;
            MUST(run_take(&set, number, &mem, 1) == 1);
            MUST(object_is_marked(mem) && run_is_sound(run));
            MUST(is_watched(run) == ((unsigned)run->dirty != ALL));
            must_be_marked(run);
        }
        MUST(!is_watched(run));
    }
}

/* A page of which only the first object is taken, and the two quarters in the
 * middle went back to the kernel. */
static struct run *begin_with_quarters_returned(unsigned size_class)
{
    struct run *run = begin(0, size_class);
    run_take(&set, size_class, mems, MOST);
    for (unsigned i = 1; i < run->objects; i++) {
        assert_true(give(mems[i]));
    }
    return_quarters(run, 6);
    return run;
}

/* Whatever was returned: all free objects are marked anew. */
static void a_watch_can_be_ended(void **state)
{
    enum { CLASS = CHUNK_CLASSES + 4 };
    (void)state;
    struct run *run = begin_with_quarters_returned(CLASS);
    assert_true(is_watched(run));
    run_end_watch(run);
    assert_false(is_watched(run));
    must_be_marked(run);
    assert_true(run_is_sound(run));
    assert_int_equal(run_idle_quarters(run), 6);
}

/* Marks that were not lost are written again: nobody knows how far the kernel
 * has got. */
static void what_was_refused_is_as_it_was(void **state)
{
    enum { CLASS = CHUNK_CLASSES + 4 };
    (void)state;
    struct run *run = begin_with_quarters_returned(CLASS);
    assert_true(is_watched(run));
    run_note_refused(run, 2);
    assert_true(is_watched(run));
    must_be_marked(run);
    run_note_refused(run, 4);
    assert_false(is_watched(run));
    must_be_marked(run);
    assert_true(run_is_sound(run));
    assert_int_equal(run_idle_quarters(run), 6);
}

/* The objects that are free in a quarter of which one is taken. */
static void neighbours_of_what_is_taken_are_marked(void **state)
{
    enum { CLASS = CHUNK_CLASSES };
    (void)state;
    begin_with_quarters_returned(CLASS);
    for (size_t i = 0; i < 256; i++) {
        assert_int_equal(run_take(&set, CLASS, mems, 1), 1);
    }
    assert_ptr_equal(mems[0], memory_of(0) + RUN_QUARTER);
    for (size_t at = RUN_QUARTER; at < 2 * RUN_QUARTER; at += 16) {
        assert_true(object_is_marked(memory_of(0) + at));
    }
    /* No page is touched of which nobody has an object. */
    for (size_t at = 2 * RUN_QUARTER; at < 3 * RUN_QUARTER; at++) {
        assert_int_equal(memory_of(0)[at], 0);
    }
}

/* ---- soundness ---------------------------------------------------------- */

static void must_be_unsound(const struct run *run)
{
    assert_false(run_is_sound(run));
}

static void wrong_figures_are_unsound(void **state)
{
    enum { CLASS = CHUNK_CLASSES + 3 }; /* 255 objects */
    (void)state;
    struct run *run = begin(0, CLASS);
    run_take(&set, CLASS, mems, 200);
    struct run saved = *run;
    assert_true(run_is_sound(run));
    run->objects--;
    must_be_unsound(run);
    *run = saved;
    run->free++;
    must_be_unsound(run);
    run->free -= 2;
    must_be_unsound(run);
    *run = saved;
    run->bucket++;
    must_be_unsound(run);
    *run = saved;
    run->limit++;
    must_be_unsound(run);
    *run = saved;
    run->size_class++;
    must_be_unsound(run);
    *run = saved;
    page_bytes[0]++;
    must_be_unsound(run);
    page_bytes[0]--;
    page_bytes[0] ^= RUN_WATCHED;
    must_be_unsound(run);
    page_bytes[0] ^= RUN_WATCHED;
    assert_true(run_is_sound(run));
}

/* An object in use in a quarter that the kernel has. */
static void a_clean_quarter_in_use_is_unsound(void **state)
{
    enum { CLASS = CHUNK_CLASSES + 3 };
    (void)state;
    struct run *run = begin(0, CLASS);
    run_take(&set, CLASS, mems, 1);
    for (unsigned quarter = 1; quarter < RUN_QUARTERS; quarter++) {
        run_note_returned(run, 1u << quarter);
        assert_true(run_is_sound(run));
    }
    run->dirty = ALL & ~1;
    must_be_unsound(run);
}

/* Any bit of the map: one more or less than `free` says, or one behind the
 * last object, whatever is taken off for it. */
static void any_wrong_bit_is_unsound(void **state)
{
    (void)state;
    for (unsigned number = CHUNK_CLASSES; number < CLASS_COUNT; number++) {
        begin_anew(NULL);
        struct run *run = begin(0, number);
        unsigned objects = run_objects(number);
        run_take(&set, number, mems, objects - 2);
        MUST(run_is_sound(run));
        for (unsigned bit = 0; bit < RUN_MAP_WORDS * 64; bit++) {
            uint64_t kept = run->free_map[bit / 64];
            run->free_map[bit / 64] ^= (uint64_t)1 << bit % 64;
            MUST(!run_is_sound(run));
            if (bit >= objects) {
                run->free++;
                MUST(!run_is_sound(run));
                run->free--;
            }
            run->free_map[bit / 64] = kept;
        }
        MUST(run_is_sound(run));
    }
}

/* One that nobody needs should have been retired. */
static void an_empty_run_is_unsound(void **state)
{
    (void)state;
    struct run *run = begin(0, CHUNK_CLASSES);
    must_be_unsound(run);
    run_take(&set, CHUNK_CLASSES, mems, MOST);
    assert_true(run_is_sound(run));
    run->limit = 2;
    must_be_unsound(run);
}

/* ---- everything --------------------------------------------------------- */

static bool is_taken[RUNS * MOST];

static size_t index_of(const void *mem)
{
    return (size_t)((const char *)mem - memory) / MALLOC_ALIGNMENT;
}

static void note_taken(unsigned number, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct run *run = run_of(mems[i]);
        MUST(run->size_class == number && !is_taken[index_of(mems[i])]);
        MUST(run_has_object_at(number, mems[i]) && object_is_marked(mems[i]));
        is_taken[index_of(mems[i])] = true;
        memset(mems[i], 0x5a, class_size(number));
    }
}

static void take_some(struct rng *rng, unsigned number)
{
    size_t most = 1 + rng_below(rng, 90);
    size_t got = run_take(&set, number, mems, most);
    note_taken(number, got);
    if (got < most) {
        struct run *spare = run_take_spare(&set);
        if (spare != NULL) {
            run_begin(&set, spare, number);
            note_taken(number, run_take(&set, number, mems, 1));
        }
    }
}

static void give_some(struct rng *rng)
{
    for (int i = 0; i < 500; i++) {
        size_t index = rng_below(rng, RUNS * MOST);
        if (is_taken[index]) {
            void *mem = memory + index * MALLOC_ALIGNMENT;
            struct run *run = run_of(mem);
            object_set_mark(mem);
            MUST(give(mem));
            is_taken[index] = false;
            if (run_is_empty(run)) {
                run_retire(&set, run);
            }
        }
    }
}

/* All of one page comes back. */
static void give_page(struct rng *rng)
{
    struct run *run = &runs[rng_below(rng, RUNS)];
    for (size_t i = 0; i < MOST && run->objects > 0; i++) {
        char *mem = memory_of((size_t)(run - runs)) + i * MALLOC_ALIGNMENT;
        if (is_taken[index_of(mem)]) {
            MUST(give(mem));
            is_taken[index_of(mem)] = false;
            if (run_is_empty(run)) {
                run_retire(&set, run);
            }
        }
    }
}

/* A span is no span any more, and its pages are in others. */
static void change_span(struct rng *rng)
{
    const struct run *first = set.empty;
    if (first == NULL) {
        return;
    }
    size_t number = (size_t)(first - runs);
    unsigned pages = first->pages;
    MUST(run_take_empty_span(&set) == first);
    while (pages > 0) {
        unsigned some = 1 + (unsigned)rng_below(rng, pages);
        add_span(number, some);
        number += some;
        pages -= some;
    }
}

static void return_some(struct rng *rng)
{
    struct run *run = &runs[rng_below(rng, RUNS)];
    const struct run *first = run_first_of_span(run);
    bool is_last = run == first + first->pages - 1;
    unsigned idle = run_idle_quarters(run);
    MUST(run->objects == 0 || idle == idle_by_definition(run, is_last));
    return_quarters(run, idle);
    MUST(run_idle_quarters(run) == 0);
}

static void must_add_up(void)
{
    size_t objects = 0, bytes = 0, count = 0;
    for (size_t i = 0; i < RUNS; i++) {
        const struct run *run = &runs[i];
        if (run->objects > 0) {
            MUST(run_is_sound(run));
            must_be_in_its_bucket(run);
            objects += run->free;
            bytes += run->free * class_size(run->size_class);
            count++;
            MUST(is_watched(run) == ((unsigned)run->dirty != ALL));
        } else {
            MUST(page_bytes[i] == 0);
        }
    }
    MUST(length_of(set.spare) == set.spares - set.empty_pages);
    MUST(set.free_objects == objects && set.free_bytes == bytes);
    MUST(set.count == count && set.spares == RUNS - count);
}

static void random_steps_lose_nothing(void **state)
{
    static const unsigned classes[] = {CHUNK_CLASSES, CHUNK_CLASSES + 2,
                                       CHUNK_CLASSES + 30, CLASS_COUNT - 1};
    struct rng rng = {3};
    (void)state;
    memset(is_taken, 0, sizeof is_taken);
    add_span(0, RUN_SPAN_MAX);
    add_span(RUN_SPAN_MAX, RUNS - RUN_SPAN_MAX);
    for (int i = 0; i < 10000; i++) {
        size_t what = rng_below(&rng, 16);
        if (what < 7) {
            take_some(&rng, classes[rng_below(&rng, count_of(classes))]);
        } else if (what < 11) {
            give_some(&rng);
        } else if (what < 13) {
            give_page(&rng);
        } else if (what < 15) {
            return_some(&rng);
        } else {
            change_span(&rng);
        }
        must_add_up();
    }
    /* What was free is whole: nobody has written there. */
    for (size_t i = 0; i < RUNS * MOST; i++) {
        const unsigned char *mem = (unsigned char *)memory + i * 16;
        if (is_taken[i]) {
            size_t size = class_size(run_of(mem)->size_class);
            MUST(mem[0] == 0x5a && mem[size - 1] == 0x5a);
        }
    }
}

#define object_test(name) cmocka_unit_test_setup(name, begin_anew)

int main(void)
{
    const struct CMUnitTest tests[] = {
        object_test(objects_begin_at_multiples_of_their_size),
        object_test(the_page_does_not_matter),
        object_test(a_run_is_full_of_objects),
        object_test(a_mark_is_of_one_address),
        object_test(a_mark_is_the_second_word),
        object_test(a_run_gives_all_of_its_objects),
        object_test(only_what_is_taken_is_marked),
        object_test(less_than_all_may_be_taken),
        object_test(classes_do_not_mix),
        object_test(the_holes_are_filled_by_rising_address),
        object_test(what_is_free_cannot_be_given),
        object_test(several_runs_serve_one_request),
        object_test(a_run_is_in_the_bucket_of_its_share),
        object_test(the_fullest_run_is_taken_from_first),
        object_test(a_run_leaves_its_bucket_from_any_place),
        object_test(an_empty_run_becomes_a_spare),
        object_test(a_spare_serves_any_class),
        object_test(only_an_empty_run_is_retired),
        object_test(a_span_is_spread_and_collected),
        object_test(empty_spans_wait_their_turn),
        object_test(a_span_is_collected_among_others),
        object_test(pages_may_lie_in_other_spans_later),
        object_test(every_quarter_is_told_from_the_objects),
        object_test(one_object_keeps_the_quarters_that_it_is_in),
        object_test(all_of_a_spare_is_idle_but_the_end_of_its_span),
        object_test(a_run_on_a_clean_page_is_watched),
        object_test(a_page_is_watched_until_it_is_dirty),
        object_test(a_watch_can_be_ended),
        object_test(what_was_refused_is_as_it_was),
        object_test(neighbours_of_what_is_taken_are_marked),
        object_test(wrong_figures_are_unsound),
        object_test(a_clean_quarter_in_use_is_unsound),
        object_test(any_wrong_bit_is_unsound),
        object_test(an_empty_run_is_unsound),
        object_test(random_steps_lose_nothing),
    };
    return UNIT_RUN(tests);
}
