/*
 * class.c - the sizes that caches deal in.
 */
#include "class.h"

#include "chunk.h"

#include "unit.h"

static void the_numbers_are_those_of_the_picture(void **state)
{
    static const struct {
        unsigned number;
        size_t size;
    } cases[] = {
        {2, 32},    {3, 48},    {64, 1024}, {65, 1040},
        {66, 1168}, {73, 2064}, {74, 2320}, {129, 262160},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        assert_int_equal(class_size(cases[i].number), cases[i].size);
        assert_int_equal(class_serving(cases[i].size), cases[i].number);
        assert_int_equal(class_joined_by(cases[i].size), cases[i].number);
    }
    assert_int_equal(class_serving(CACHED_CHUNK_MAX), CHUNK_CLASSES - 1);
}

/* The smallest that holds the request, and so at most 1/8 is lost. */
static void a_request_is_served_by_the_smallest_class(void **state)
{
    (void)state;
    for (size_t size = MIN_CHUNK_SIZE; size <= CACHED_CHUNK_MAX; size += 16) {
        unsigned number = class_serving(size);
        MUST(number < CHUNK_CLASSES);
        MUST(class_size(number) >= size);
        MUST(class_size(number) % MALLOC_ALIGNMENT == 0);
        MUST(number == 2 || class_size(number - 1) < size);
        MUST((class_size(number) - size) * 8 < size);
    }
}

static void a_chunk_joins_the_largest_class_it_serves(void **state)
{
    (void)state;
    for (size_t size = MIN_CHUNK_SIZE; size <= CACHED_CHUNK_MAX; size += 16) {
        unsigned number = class_joined_by(size);
        MUST(number < CHUNK_CLASSES);
        MUST(class_size(number) <= size);
        MUST(number == CHUNK_CLASSES - 1 || class_size(number + 1) > size);
    }
}

static void what_a_class_gives_comes_back_to_it(void **state)
{
    (void)state;
    for (unsigned number = 2; number < CHUNK_CLASSES; number++) {
        assert_int_equal(class_serving(class_size(number)), number);
        assert_int_equal(class_joined_by(class_size(number)), number);
    }
}

/* ---- objects of runs ----------------------------------------------------- */

static void the_classes_of_objects_follow_those_of_chunks(void **state)
{
    static const struct {
        unsigned number;
        size_t size;
    } cases[] = {{130, 16}, {131, 32}, {132, 48}, {193, 1024}};
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        assert_int_equal(class_size(cases[i].number), cases[i].size);
        assert_int_equal(run_class_serving(cases[i].size), cases[i].number);
    }
    assert_int_equal(CHUNK_CLASSES, 130);
    assert_int_equal(CLASS_COUNT, 194);
    assert_int_equal(run_class_serving(RUN_OBJECT_MAX), CLASS_COUNT - 1);
}

/* With no more than 15 bytes lost. */
static void a_request_is_served_by_the_smallest_object(void **state)
{
    (void)state;
    assert_int_equal(run_class_serving(0), CHUNK_CLASSES);
    for (size_t request = 1; request <= RUN_OBJECT_MAX; request++) {
        size_t size = class_size(run_class_serving(request));
        MUST(size >= request && size < request + MALLOC_ALIGNMENT);
        MUST(size % MALLOC_ALIGNMENT == 0);
    }
}

static void a_class_is_of_one_kind(void **state)
{
    (void)state;
    for (unsigned number = 2; number < CLASS_COUNT; number++) {
        bool is_small_chunk = number < SMALL_CLASSES;
        MUST(is_small_chunk + class_is_large(number) + class_is_run(number) ==
             1);
        MUST(class_is_run(number) == (number >= CHUNK_CLASSES));
    }
}

/* All requests of a step have the same class, of chunks and of objects: what a
 * cache writes down for one holds for all. */
static void a_step_of_requests_has_one_class_of_each_kind(void **state)
{
    (void)state;
    assert_int_equal(request_step_end(RUN_OBJECT_MAX), RUN_OBJECT_MAX);
    for (size_t request = 0; request < RUN_OBJECT_MAX; request++) {
        if (request_step_end(request) == request_step_end(request + 1)) {
            MUST(class_serving(request_to_chunk_size(request)) ==
                 class_serving(request_to_chunk_size(request + 1)));
            MUST(run_class_serving(request) == run_class_serving(request + 1));
        }
    }
    assert_int_equal(run_class_serving(0), run_class_serving(1));
    assert_int_equal(request_step_end(0), 0);
    assert_int_equal(request_step_end(1), REQUEST_STEP);
    assert_int_equal(request_step_end(REQUEST_STEP), REQUEST_STEP);
}

/* What caches ask in fewer steps than class_serving and class_joined_by. */
static void the_short_ways_to_large_classes_lead_to_the_same(void **state)
{
    (void)state;
    for (size_t request = RUN_OBJECT_MAX + 1;
         request_to_chunk_size(request) <= CACHED_CHUNK_MAX; request++) {
        MUST(class_serving_large(request) ==
             class_serving(request_to_chunk_size(request)));
    }
    for (size_t size = SMALL_CLASS_MAX + MALLOC_ALIGNMENT;
         size <= CACHED_CHUNK_MAX; size += MALLOC_ALIGNMENT) {
        for (unsigned flags = 0; flags <= CHUNK_FLAGS; flags++) {
            MUST(class_joined_by_large((uint32_t)size | flags) ==
                 class_joined_by(size));
        }
    }
}

/* The smallest multiple of the alignment that holds the request. */
static void an_aligned_request_gets_a_multiple_of_its_alignment(void **state)
{
    (void)state;
    for (size_t alignment = 16; alignment <= RUN_OBJECT_MAX; alignment *= 2) {
        for (size_t request = 0; request <= 2 * RUN_OBJECT_MAX; request++) {
            size_t size = object_for_aligned(alignment, request);
            MUST(size >= request && size % alignment == 0 && size > 0);
            MUST(size - max_size(request, 1) < alignment);
        }
    }
    /* What no object can hold. */
    assert_true(object_for_aligned((size_t)1 << 62, 1) > RUN_OBJECT_MAX);
    assert_true(object_for_aligned(32, PTRDIFF_MAX) > RUN_OBJECT_MAX);
    assert_true(object_for_aligned((size_t)1 << 62, PTRDIFF_MAX) >
                RUN_OBJECT_MAX);
}

static void magazines_are_bounded(void **state)
{
    (void)state;
    for (unsigned number = 2; number < CLASS_COUNT; number++) {
        size_t blocks = class_magazine_size(number);
        assert_in_range(blocks, MAGAZINE_MIN, MAGAZINE_MAX);
        assert_true(blocks == MAGAZINE_MIN ||
                    blocks * class_size(number) <= MAGAZINE_BYTES);
        assert_true(blocks == MAGAZINE_MAX ||
                    (blocks + 1) * class_size(number) > MAGAZINE_BYTES);
    }
}

/* Small classes have two magazines, those of objects no fewer than what a
 * program that replaces them needs; large ones what is worth a lock. */
static void slots_are_bounded(void **state)
{
    (void)state;
    for (unsigned number = 2; number < CLASS_COUNT; number++) {
        size_t slots = class_slots(number);
        size_t least = CACHE_MAGAZINES * class_magazine_size(number);
        assert_in_range(slots, least, CACHE_MAGAZINES * MAGAZINE_MAX);
        assert_true(slots == least || class_is_large(number) ||
                    (class_is_run(number) && slots == OBJECT_SLOTS_MIN));
        assert_true(slots == least ||
                    slots * class_size(number) <= CLASS_CACHE_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_those_of_the_picture),
        cmocka_unit_test(a_request_is_served_by_the_smallest_class),
        cmocka_unit_test(a_chunk_joins_the_largest_class_it_serves),
        cmocka_unit_test(what_a_class_gives_comes_back_to_it),
        cmocka_unit_test(the_classes_of_objects_follow_those_of_chunks),
        cmocka_unit_test(a_request_is_served_by_the_smallest_object),
        cmocka_unit_test(a_class_is_of_one_kind),
        cmocka_unit_test(a_step_of_requests_has_one_class_of_each_kind),
        cmocka_unit_test(the_short_ways_to_large_classes_lead_to_the_same),
        cmocka_unit_test(an_aligned_request_gets_a_multiple_of_its_alignment),
        cmocka_unit_test(magazines_are_bounded),
        cmocka_unit_test(slots_are_bounded),
    };
    return UNIT_RUN(tests);
}
