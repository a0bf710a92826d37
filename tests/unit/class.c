/*
 * class.c - the sizes that caches deal in.
 */
#include "class.h"

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
    assert_int_equal(class_serving(CACHED_CHUNK_MAX), CLASS_COUNT - 1);
}

/* The smallest that holds the request, and so at most 1/8 is lost. */
static void a_request_is_served_by_the_smallest_class(void **state)
{
    (void)state;
    for (size_t size = MIN_CHUNK_SIZE; size <= CACHED_CHUNK_MAX; size += 16) {
        unsigned number = class_serving(size);
        MUST(number < CLASS_COUNT);
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
        MUST(number < CLASS_COUNT);
        MUST(class_size(number) <= size);
        MUST(number == CLASS_COUNT - 1 || class_size(number + 1) > size);
    }
}

static void what_a_class_gives_comes_back_to_it(void **state)
{
    (void)state;
    for (unsigned number = 2; number < CLASS_COUNT; number++) {
        assert_int_equal(class_serving(class_size(number)), number);
        assert_int_equal(class_joined_by(class_size(number)), number);
    }
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

/* Small classes have two magazines; large ones what is worth a lock. */
static void slots_are_bounded(void **state)
{
    (void)state;
    for (unsigned number = 2; number < CLASS_COUNT; number++) {
        size_t slots = class_slots(number);
        size_t least = CACHE_MAGAZINES * class_magazine_size(number);
        assert_in_range(slots, least, CACHE_MAGAZINES * MAGAZINE_MAX);
        assert_true(slots == least || number >= SMALL_CLASSES);
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
        cmocka_unit_test(magazines_are_bounded),
        cmocka_unit_test(slots_are_bounded),
    };
    return UNIT_RUN(tests);
}
