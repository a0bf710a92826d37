/*
 * run.c - objects of runs: where they begin, which are taken and in what order,
 * and what the map, the buckets and the sums say after each step.
 *
 * A run does not know what its memory is, so the runs of these tests lie in an
 * array.
 */
#include "run.h"

#include "unit.h"

#include "child.h"
#include "rng.h"
#include "seal.h"

enum {
    RUNS = 8,
    MOST = RUN_SIZE / MALLOC_ALIGNMENT,
};

static _Alignas(RUN_SIZE) char memory[RUNS * RUN_SIZE];
static struct run runs[RUNS];
static struct run_set set;
static void *mems[RUNS * MOST];

static int begin_anew(void **state)
{
    (void)state;
    seal_prepare();
    memset(memory, 0, sizeof memory);
    memset(runs, 0, sizeof runs);
    memset(&set, 0, sizeof set);
    return 0;
}

static char *memory_of(size_t number)
{
    return memory + number * RUN_SIZE;
}

static struct run *begin(size_t number, unsigned size_class)
{
    run_begin(&set, &runs[number], memory_of(number), size_class);
    return &runs[number];
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
    if (!run_give(run, size_class, mem)) {
        return false;
    }
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
    for (size_t i = 0; i < count_of(classes); i++) {
        struct run *run = begin(0, classes[i]);
        unsigned objects = run_objects(classes[i]);
        assert_int_equal(run->free, objects);
        assert_int_equal(run_take(&set, classes[i], mems, MOST), objects);
        assert_true(run_is_sound(run));
        for (unsigned j = 0; j < objects; j++) {
            assert_true(give(mems[j]));
        }
        run_retire(&set, run);
        assert_ptr_equal(run_take_spare(&set), run);
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
    assert_true(run_is_sound(run));
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

static void take_some(struct rng *rng, unsigned number)
{
    size_t most = 1 + rng_below(rng, 90);
    size_t got = run_take(&set, number, mems, most);
    for (size_t i = 0; i < got; i++) {
        const struct run *run = run_of(mems[i]);
        MUST(run->size_class == number && !is_taken[index_of(mems[i])]);
        MUST(run_has_object_at(number, mems[i]) && object_is_marked(mems[i]));
        is_taken[index_of(mems[i])] = true;
    }
    if (got < most) {
        struct run *spare = run_take_spare(&set);
        if (spare != NULL) {
            run_begin(&set, spare, spare->start, number);
            run_take(&set, number, mems, 1);
            is_taken[index_of(mems[0])] = true;
        }
    }
}

static void give_some(struct rng *rng)
{
    for (int i = 0; i < 300; i++) {
        size_t index = rng_below(rng, RUNS * MOST);
        if (is_taken[index]) {
            void *mem = memory + index * MALLOC_ALIGNMENT;
            struct run *run = run_of(mem);
            MUST(give(mem));
            is_taken[index] = false;
            if (run_is_empty(run)) {
                run_retire(&set, run);
            }
        }
    }
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
        }
    }
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
    for (size_t i = 0; i < RUNS; i++) {
        begin(i, CHUNK_CLASSES);
        run_retire(&set, &runs[i]);
    }
    for (int i = 0; i < 20000; i++) {
        if (rng_below(&rng, 2) == 0) {
            take_some(&rng, classes[rng_below(&rng, count_of(classes))]);
        } else {
            give_some(&rng);
        }
        must_add_up();
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
        object_test(wrong_figures_are_unsound),
        object_test(any_wrong_bit_is_unsound),
        object_test(an_empty_run_is_unsound),
        object_test(random_steps_lose_nothing),
    };
    return UNIT_RUN(tests);
}
