/*
 * pages.c - the map of a heap's pages, against a plain array of them.
 */
#include "pages.h"

#include "unit.h"

#include "rng.h"

enum {
    PAGES = HEAP_MAX_SIZE / PAGES_SIZE,
    STEPS = 3000,
};

static struct pages map;
static bool dirty[PAGES], recent[PAGES];

static int begin(void **state)
{
    (void)state;
    memset(&map, 0, sizeof map);
    memset(dirty, 0, sizeof dirty);
    memset(recent, 0, sizeof recent);
    return 0;
}

static void note_freed(size_t from, size_t to)
{
    pages_note_freed(&map, from, to);
    for (size_t page = from / PAGES_SIZE; page * PAGES_SIZE < to; page++) {
        dirty[page] = recent[page] = true;
    }
}

static void note_returned(struct span_of_pages span)
{
    pages_note_returned(&map, span);
    for (size_t page = span.from / PAGES_SIZE; page < span.to / PAGES_SIZE;
         page++) {
        dirty[page] = recent[page] = false;
    }
}

static void age(size_t end)
{
    pages_age(&map, end);
    memset(recent, 0, end / PAGES_SIZE);
}

static bool counts(size_t page, bool with_recent)
{
    return dirty[page] && (with_recent || !recent[page]);
}

static void must_find_the_same(struct span_of_pages span, bool with_recent)
{
    size_t end = span.to / PAGES_SIZE;
    size_t first = span.from / PAGES_SIZE;
    while (first < end && !counts(first, with_recent)) {
        first++;
    }
    size_t last = first;
    while (last < end && counts(last, with_recent)) {
        last++;
    }
    struct span_of_pages found = pages_next_dirty(&map, span, with_recent);
    assert_int_equal(found.from, first * PAGES_SIZE);
    assert_int_equal(found.to, last * PAGES_SIZE);
    size_t clean = end;
    while (clean > span.from / PAGES_SIZE && !dirty[clean - 1]) {
        clean--;
    }
    assert_int_equal(pages_clean_from(&map, span), clean * PAGES_SIZE);
}

/* Often short, sometimes of any length, at times to the end of the heap. */
static struct span_of_pages any_bytes(struct rng *rng)
{
    size_t most = rng_below(rng, 4) == 0 ? HEAP_MAX_SIZE : 300000;
    size_t from = rng_below(rng, HEAP_MAX_SIZE);
    size_t to = from + 1 + rng_below(rng, most);
    return (struct span_of_pages){from, min_size(to, HEAP_MAX_SIZE)};
}

static struct span_of_pages any_pages(struct rng *rng)
{
    struct span_of_pages bytes = any_bytes(rng);
    return (struct span_of_pages){round_down(bytes.from, PAGES_SIZE),
                                  round_up(bytes.to, PAGES_SIZE)};
}

static void random_changes_are_all_remembered(void **state)
{
    struct rng rng = {3};
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        struct span_of_pages bytes = any_bytes(&rng);
        switch (rng_below(&rng, 8)) {
        case 0:
            age(any_pages(&rng).to);
            break;
        case 1:
        case 2:
            note_returned(any_pages(&rng));
            break;
        default:
            note_freed(bytes.from, bytes.to);
        }
        must_find_the_same(any_pages(&rng), step % 2 == 0);
    }
}

static void an_empty_span_has_nothing(void **state)
{
    (void)state;
    note_freed(0, HEAP_MAX_SIZE);
    struct span_of_pages none = {8 * PAGES_SIZE, 8 * PAGES_SIZE};
    struct span_of_pages found = pages_next_dirty(&map, none, true);
    assert_int_equal(found.from, found.to);
    assert_int_equal(pages_clean_from(&map, none), none.from);
}

static void the_last_byte_counts(void **state)
{
    struct span_of_pages two = {4 * PAGES_SIZE, 6 * PAGES_SIZE};
    (void)state;
    note_freed(5 * PAGES_SIZE - 1, 5 * PAGES_SIZE);
    assert_int_equal(pages_clean_from(&map, two), 5 * PAGES_SIZE);
    note_freed(5 * PAGES_SIZE - 1, 5 * PAGES_SIZE + 1);
    assert_int_equal(pages_clean_from(&map, two), 6 * PAGES_SIZE);
}

static void chunks_are_found_by_place(void **state)
{
    static const size_t places[] = {PAGES_SIZE - 16, 63 * PAGES_SIZE + 32,
                                    64 * PAGES_SIZE, 200 * PAGES_SIZE + 4080,
                                    HEAP_MAX_SIZE - 3 * PAGES_SIZE};
    (void)state;
    for (size_t i = 0; i < count_of(places); i++) {
        pages_add_chunk(&map, places[i]);
    }
    size_t at = 0;
    for (size_t i = 0; i < count_of(places); i++) {
        assert_int_equal(pages_next_chunk(&map, at, HEAP_MAX_SIZE), places[i]);
        /* The page that a place is in counts whole. */
        assert_int_equal(pages_next_chunk(&map, places[i], HEAP_MAX_SIZE),
                         places[i]);
        at = round_down(places[i], PAGES_SIZE) + PAGES_SIZE;
        assert_int_equal(
            pages_next_chunk(&map, round_down(places[i], PAGES_SIZE), at),
            places[i]);
    }
    assert_int_equal(pages_next_chunk(&map, at, HEAP_MAX_SIZE), 0);
    pages_remove_chunk(&map, places[1]);
    assert_int_equal(pages_next_chunk(&map, PAGES_SIZE, HEAP_MAX_SIZE),
                     places[2]);
    assert_int_equal(
        pages_next_chunk(&map, PAGES_SIZE, round_down(places[2], PAGES_SIZE)),
        0);
}

#define map_test(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        map_test(random_changes_are_all_remembered),
        map_test(an_empty_span_has_nothing),
        map_test(the_last_byte_counts),
        map_test(chunks_are_found_by_place),
    };
    return UNIT_RUN(tests);
}
