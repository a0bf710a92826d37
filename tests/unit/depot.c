/*
 * depot.c - magazines: what is given is taken again, the newest first, and the
 * sums are right. A depot looks at no block, so any pointer will do.
 */
#define _GNU_SOURCE
#include "depot.h"

#include "unit.h"

#include "faulty_syscall.h"
#include "rng.h"

enum {
    CLASS = 10,
    MANY = 1000,
};

static struct depot depot;
static char blocks[MANY];

static int begin_anew(void **state)
{
    (void)state;
    faulty_use(NULL);
    memset(&depot, 0, sizeof depot);
    return 0;
}

static size_t give(unsigned size_class, size_t from, size_t count)
{
    void *mems[MANY];
    for (size_t i = 0; i < count; i++) {
        mems[i] = &blocks[from + i];
    }
    return depot_give(&depot, size_class, mems, count);
}

static void totals_must_be(size_t count, size_t bytes)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        assert_int_equal(depot_has(&depot, i), depot.full[i] != NULL);
    }
    assert_int_equal(depot.blocks, count);
    assert_int_equal(depot.bytes, bytes);
}

static void an_empty_depot_gives_nothing(void **state)
{
    void *mems[4];
    unsigned size_class;
    (void)state;
    assert_int_equal(depot_take(&depot, CLASS, mems, 4), 0);
    assert_int_equal(depot_take_any(&depot, &size_class, mems, 4), 0);
    assert_int_equal(depot_give(&depot, CLASS, mems, 0), 0);
    totals_must_be(0, 0);
}

static void what_was_given_last_is_taken_first(void **state)
{
    void *mem;
    (void)state;
    assert_int_equal(give(CLASS, 0, MANY), MANY);
    totals_must_be(MANY, MANY * class_size(CLASS));
    for (size_t i = MANY; i-- > 0;) {
        assert_int_equal(depot_take(&depot, CLASS, &mem, 1), 1);
        assert_ptr_equal(mem, &blocks[i]);
        totals_must_be(i, i * class_size(CLASS));
    }
    assert_int_equal(depot_take(&depot, CLASS, &mem, 1), 0);
}

/* A magazine is given out in the order in which it was filled. */
static void a_magazine_is_taken_as_it_is(void **state)
{
    void *mems[MAGAZINE_MAX];
    (void)state;
    give(CLASS, 0, MAGAZINE_MAX + 5);
    assert_int_equal(depot_take(&depot, CLASS, mems, MAGAZINE_MAX), 5);
    assert_ptr_equal(mems[0], &blocks[MAGAZINE_MAX]);
    assert_int_equal(depot_take(&depot, CLASS, mems, 10), 10);
    for (size_t i = 0; i < 10; i++) {
        assert_ptr_equal(mems[i], &blocks[MAGAZINE_MAX - 10 + i]);
    }
    assert_int_equal(depot_take(&depot, CLASS, mems, MAGAZINE_MAX),
                     MAGAZINE_MAX - 10);
}

static void classes_do_not_mix(void **state)
{
    void *mems[MANY];
    (void)state;
    give(2, 0, 3);
    give(CHUNK_CLASSES - 1, 10, 3);
    give(CHUNK_CLASSES + 1, 20, 3); /* objects of 32 bytes */
    totals_must_be(9, 2 * 3 * 32 + 3 * CACHED_CHUNK_MAX);
    assert_int_equal(depot_take(&depot, 3, mems, MANY), 0);
    assert_int_equal(depot_take(&depot, 2, mems, MAGAZINE_MAX), 3);
    assert_ptr_equal(mems[0], &blocks[0]);
    totals_must_be(6, 3 * 32 + 3 * CACHED_CHUNK_MAX);
    assert_int_equal(depot_take(&depot, CHUNK_CLASSES - 1, mems, MAGAZINE_MAX),
                     3);
    assert_ptr_equal(mems[0], &blocks[10]);
    totals_must_be(3, 3 * 32);
    assert_int_equal(depot_take(&depot, CHUNK_CLASSES + 1, mems, MAGAZINE_MAX),
                     3);
    assert_ptr_equal(mems[0], &blocks[20]);
    totals_must_be(0, 0);
}

/* Metadata is mapped for the peak and no more. */
static void empty_magazines_are_used_again(void **state)
{
    const struct faulty_plan count = {.kinds = FAULTY_MMAP};
    void *mems[MAGAZINE_MAX];
    (void)state;
    faulty_use(&count);
    for (int round = 0; round < 200; round++) {
        unsigned size_class = 2 + (unsigned)round % (CLASS_COUNT - 2);
        assert_int_equal(give(size_class, 0, MANY), MANY);
        while (depot_take(&depot, size_class, mems, MAGAZINE_MAX) > 0) {
        }
        totals_must_be(0, 0);
    }
    assert_int_equal(faulty_calls_counted(), 1);
}

static void without_memory_less_is_stored(void **state)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    faulty_use(&no_memory);
    assert_int_equal(give(CLASS, 0, 5), 0);
    /* The kernel is asked again after a while. */
    for (int i = 0; i < REFUSAL_PATIENCE; i++) {
        assert_int_equal(give(CLASS, 0, 5), 0);
    }
    assert_int_equal(faulty_calls_refused(), 1);
    assert_int_equal(give(CLASS, 0, 5), 0);
    assert_int_equal(faulty_calls_refused(), 2);
    totals_must_be(0, 0);
    faulty_use(NULL);
    for (int i = 0; i < REFUSAL_PATIENCE; i++) {
        assert_int_equal(give(CLASS, 0, 1), 0);
    }
    assert_int_equal(give(CLASS, 0, 1), 1);
    /* What there is is used up first. */
    faulty_use(&no_memory);
    size_t room = METADATA_STEP / sizeof(struct magazine) * MAGAZINE_MAX - 1;
    size_t stored = 0;
    for (size_t got = MANY; got == MANY; stored += got) {
        got = give(CLASS, 0, MANY);
    }
    assert_int_equal(stored, room);
    totals_must_be(room + 1, (room + 1) * class_size(CLASS));
}

static void all_classes_have_their_turn(void **state)
{
    static const unsigned classes[] = {
        2, 40, 41, CHUNK_CLASSES - 1, CHUNK_CLASSES, CLASS_COUNT - 1};
    void *mems[MAGAZINE_MAX];
    unsigned size_class;
    size_t taken[count_of(classes)] = {0};
    (void)state;
    for (size_t i = 0; i < count_of(classes); i++) {
        give(classes[i], i * 100, 50);
    }
    for (size_t i = 0; i < 2 * count_of(classes); i++) {
        assert_int_equal(depot_take_any(&depot, &size_class, mems, 5), 5);
        size_t block = (size_t)((char *)mems[0] - blocks);
        assert_int_equal(size_class, classes[block / 100]);
        taken[block / 100] += 5;
    }
    for (size_t i = 0; i < count_of(classes); i++) {
        assert_int_equal(taken[i], 10);
    }
    size_t left = 0, got;
    while ((got = depot_take_any(&depot, &size_class, mems, MAGAZINE_MAX)) >
           0) {
        left += got;
    }
    assert_int_equal(left, count_of(classes) * 40);
    totals_must_be(0, 0);
}

/* One at a time, where a magazine has room; else nothing happens. */
static void one_block_is_put_where_there_is_room(void **state)
{
    void *mems[MAGAZINE_MAX];
    (void)state;
    assert_false(depot_put(&depot, CLASS, &blocks[0]));
    totals_must_be(0, 0);
    give(CLASS, 0, 1);
    for (size_t i = 1; i < MAGAZINE_MAX; i++) {
        assert_true(depot_put(&depot, CLASS, &blocks[i]));
        totals_must_be(i + 1, (i + 1) * class_size(CLASS));
    }
    assert_false(depot_put(&depot, CLASS, &blocks[MAGAZINE_MAX]));
    assert_false(depot_put(&depot, CLASS + 1, &blocks[MAGAZINE_MAX]));
    assert_int_equal(depot_take(&depot, CLASS, mems, MAGAZINE_MAX),
                     MAGAZINE_MAX);
    for (size_t i = 0; i < MAGAZINE_MAX; i++) {
        assert_ptr_equal(mems[i], &blocks[i]);
    }
    totals_must_be(0, 0);
}

/* From any class, the next one that has any, and round about. */
static void the_next_class_is_found_wherever_it_is(void **state)
{
    unsigned found;
    void *mem;
    (void)state;
    for (unsigned first = 2; first < CLASS_COUNT; first += 3) {
        for (unsigned second = 2; second < first; second += 7) {
            give(first, 0, 1);
            depot.hand = second;
            MUST(depot_take_any(&depot, &found, &mem, 1) == 1);
            MUST(found == first);
            give(second, 1, 1); /* behind the hand now */
            MUST(depot_take_any(&depot, &found, &mem, 1) == 1);
            MUST(found == second && mem == &blocks[1]);
        }
    }
    totals_must_be(0, 0);
}

/* Every block that is in comes out once. */
static void random_steps_lose_nothing(void **state)
{
    static bool is_in[MANY];
    struct rng rng = {9};
    size_t count = 0;
    (void)state;
    for (int step = 0; step < 20000; step++) {
        size_t i = rng_below(&rng, MANY);
        unsigned size_class = 2 + (unsigned)(i % 5);
        void *mems[MAGAZINE_MAX];
        if (!is_in[i]) {
            assert_int_equal(give(size_class, i, 1), 1);
            is_in[i] = true;
            count++;
            continue;
        }
        size_t most = 1 + rng_below(&rng, MAGAZINE_MAX);
        size_t got = depot_take(&depot, size_class, mems, most);
        assert_in_range(got, 1, most);
        for (size_t j = 0; j < got; j++) {
            size_t block = (size_t)((char *)mems[j] - blocks);
            assert_true(is_in[block] && 2 + block % 5 == size_class);
            is_in[block] = false;
        }
        count -= got;
        assert_int_equal(depot.blocks, count);
    }
}

#define depot_test(name) cmocka_unit_test_setup(name, begin_anew)

int main(void)
{
    const struct CMUnitTest tests[] = {
        depot_test(an_empty_depot_gives_nothing),
        depot_test(what_was_given_last_is_taken_first),
        depot_test(a_magazine_is_taken_as_it_is),
        depot_test(classes_do_not_mix),
        depot_test(empty_magazines_are_used_again),
        depot_test(without_memory_less_is_stored),
        depot_test(all_classes_have_their_turn),
        depot_test(one_block_is_put_where_there_is_room),
        depot_test(the_next_class_is_found_wherever_it_is),
        depot_test(random_steps_lose_nothing),
    };
    return UNIT_RUN(tests);
}
