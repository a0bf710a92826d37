/*
 * recent.c - which freed mappings are kept, for how long, and for whom.
 *
 * No mapping is touched here, so any addresses will do; and the clock is the
 * test's: the linker lets recent.c ask this one.
 */
#include "recent.h"

#include "unit.h"

#include "os.h"
#include "rng.h"

enum {
    MIB = 1 << 20,
};

uint64_t __wrap_os_milliseconds(void);

static uint64_t now;

uint64_t __wrap_os_milliseconds(void)
{
    return now;
}

static struct victims victims;
static size_t most; /* bytes that may be kept */

static int begin_anew(void **state)
{
    (void)state;
    now = 1000000;
    most = 32 * MIB;
    recent_forget();
    victims.count = 0;
    return 0;
}

static char *place(unsigned number)
{
    return (char *)((uintptr_t)(number + 1) << 32);
}

/* Mapping number `number`, and who has to go for it. */
static void keep(unsigned number, size_t length)
{
    victims.count = 0;
    recent_keep((struct mapping){.start = place(number), .length = length},
                most, &victims);
}

static void must_go(unsigned from, unsigned to)
{
    assert_int_equal(victims.count, to - from);
    for (unsigned i = 0; i < to - from; i++) {
        assert_ptr_equal(victims.mappings[i].start, place(from + i));
    }
}

static void must_get(size_t length, unsigned number)
{
    assert_ptr_equal(recent_take(length).start, place(number));
}

static void must_get_none(size_t length)
{
    struct mapping mapping = recent_take(length);
    assert_int_equal(mapping.length, 0);
}

static void what_is_kept_is_taken_once(void **state)
{
    (void)state;
    must_get_none(4096);
    keep(0, MIB);
    must_go(0, 0);
    must_get(MIB, 0);
    must_get_none(MIB);
}

static void the_smallest_that_holds_it_is_taken(void **state)
{
    (void)state;
    keep(0, 1100000);
    keep(1, 1000000);
    keep(2, 1200000);
    keep(3, 900000);
    must_get(1000000, 1);
    must_get(1000000, 0);
    must_get(1000000, 2);
}

static void what_is_not_needed_stays(void **state)
{
    (void)state;
    keep(0, MIB);
    struct mapping mapping = recent_take(MIB / 4);
    assert_ptr_equal(mapping.start, place(0));
    assert_int_equal(mapping.length, MIB / 4);
    mapping = recent_take(MIB / 2);
    assert_ptr_equal(mapping.start, place(0) + MIB / 4);
    assert_int_equal(mapping.length, MIB / 2);
    mapping = recent_take(MIB / 4);
    assert_ptr_equal(mapping.start, place(0) + MIB / 4 * 3);
    assert_int_equal(mapping.length, MIB / 4);
    must_get_none(4096);
}

static void neighbours_become_one(void **state)
{
    (void)state;
    for (int order = 0; order < 6; order++) {
        static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        victims.count = 0;
        for (int i = 0; i < 3; i++) {
            size_t at = (size_t)orders[order][i] * MIB;
            recent_keep((struct mapping){.start = place(0) + at, .length = MIB},
                        most, &victims);
        }
        must_go(0, 0);
        struct mapping mapping = recent_take(3 * MIB);
        assert_ptr_equal(mapping.start, place(0));
        assert_int_equal(mapping.length, 3 * MIB);
        must_get_none(4096);
    }
}

/* It is grown, which is why the largest is best. */
static void one_that_is_too_small_is_better_than_none(void **state)
{
    (void)state;
    keep(0, 4096);
    keep(1, 8192);
    keep(2, 6 * 4096);
    keep(3, MIB);
    must_get(2 * MIB, 3);
    must_get(2 * MIB, 2);
    must_get(2 * MIB, 1);
    must_get(2 * MIB, 0);
    must_get_none(2 * MIB);
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECENT_MAPPINGS; i++) {
        keep(i, 4096);
        must_go(0, 0);
    }
    for (unsigned i = 0; i < 5; i++) {
        keep(RECENT_MAPPINGS + i, 4096);
        must_go(i, i + 1);
    }
}

static void the_oldest_go_when_there_are_too_many_bytes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        keep(i, 4 * MIB);
        must_go(0, 0);
    }
    keep(8, 10 * MIB);
    must_go(0, 3);
    keep(9, 4096);
    must_go(3, 3);
    keep(10, 2 * MIB);
    must_go(3, 4);
    must_get(10 * MIB, 8);
    must_get(2 * MIB, 10);
}

static void too_large_a_mapping_is_not_kept(void **state)
{
    (void)state;
    keep(0, 4096);
    keep(1, 32 * MIB + 4096);
    must_go(1, 2);
    must_get(4096, 0);
    keep(2, 32 * MIB);
    must_go(0, 0);
    most = 0;
    keep(3, 4096);
    must_go(3, 4);
}

static void the_old_expire(void **state)
{
    (void)state;
    keep(0, 4096);
    now += DEFAULT_DECAY / 2;
    keep(1, 4096);
    now += DEFAULT_DECAY / 2;
    victims.count = 0;
    recent_expire(&victims);
    must_go(0, 0);
    now++;
    recent_expire(&victims);
    must_go(0, 1);
    recent_expire(&victims);
    must_go(0, 1);
    must_get(4096, 1);
}

static void all_expire_when_asked_to(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECENT_MAPPINGS; i++) {
        keep(i, 4096);
    }
    victims.count = 0;
    recent_expire_all(&victims);
    must_go(0, RECENT_MAPPINGS);
    must_get_none(4096);
    keep(0, 32 * MIB / 2);
    keep(1, 32 * MIB / 2);
    must_go(0, 0); /* their bytes are not counted any more */
}

/* What was taken, and is put back, is as old as it was. */
static void what_is_put_back_expires_as_before(void **state)
{
    (void)state;
    keep(0, MIB);
    now += DEFAULT_DECAY - 10;
    keep(1, 2 * MIB);
    struct mapping mapping = recent_take(MIB);
    assert_ptr_equal(mapping.start, place(0));
    now += 11;
    victims.count = 0;
    recent_put_back(mapping, most, &victims);
    must_go(0, 0);
    recent_expire(&victims);
    must_go(0, 1);
    must_get(2 * MIB, 1);
}

static void what_has_no_room_is_not_put_back(void **state)
{
    (void)state;
    keep(0, MIB);
    struct mapping mapping = recent_take(MIB);
    keep(1, 4 * MIB);
    victims.count = 0;
    recent_put_back(mapping, 5 * MIB - 1, &victims);
    must_go(0, 1);
    for (unsigned i = 2; i <= RECENT_MAPPINGS; i++) {
        keep(i, 4096);
    }
    recent_put_back(mapping, most, &victims);
    must_go(0, 1);
    must_get(4 * MIB, 1);
}

/* ---- without a helper -----------------------------------------------------
 */

/* What was missed soon may be kept from then on. */
static void what_is_missed_soon_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(recent_allowance(), RECENT_ALONE);
    recent_note_miss(8 * MIB);
    assert_int_equal(recent_allowance(), RECENT_ALONE);
    most = recent_allowance();
    keep(0, 16 * MIB);
    must_go(0, 1);
    now += RETURN_TOO_SOON;
    recent_note_miss(12 * MIB);
    assert_int_equal(recent_allowance(), RECENT_ALONE + 15 * MIB);
    /* What was found was not missed. */
    recent_note_miss(0);
    assert_int_equal(recent_allowance(), RECENT_ALONE + 15 * MIB);
    /* No more than was lost; but what was allowed before was too little. */
    recent_note_miss(12 * MIB);
    assert_int_equal(recent_allowance(), RECENT_ALONE + 35 * MIB);
    recent_note_miss(12 * MIB);
    assert_int_equal(recent_allowance(), RECENT_ALONE + 35 * MIB);
}

static void what_is_missed_late_is_not(void **state)
{
    (void)state;
    most = recent_allowance();
    keep(0, 16 * MIB);
    now += RETURN_TOO_SOON + 1;
    recent_note_miss(16 * MIB);
    assert_int_equal(recent_allowance(), RECENT_ALONE);
    /* That of long ago is not added to that of now. */
    keep(0, 16 * MIB);
    now += RETURN_TOO_SOON + 1;
    keep(0, 4 * MIB);
    recent_note_miss(16 * MIB);
    assert_int_equal(recent_allowance(), RECENT_ALONE + 5 * MIB);
}

static void what_had_to_go_for_others_is_missed_too(void **state)
{
    (void)state;
    most = 4 * MIB;
    keep(0, 3 * MIB);
    keep(1, 4 * MIB);
    must_go(0, 1);
    recent_note_miss(4 * MIB);
    assert_int_equal(recent_allowance(), RECENT_ALONE + 15 * MIB / 4);
}

static void what_expires_is_allowed_no_more(void **state)
{
    (void)state;
    most = 2 * MIB;
    keep(0, 8 * MIB);
    recent_note_miss(8 * MIB);
    assert_int_equal(recent_allowance(), RECENT_ALONE + 10 * MIB);
    most = 32 * MIB;
    keep(1, 4 * MIB);
    now += DEFAULT_DECAY + 1;
    recent_expire(&victims);
    assert_int_equal(recent_allowance(), RECENT_ALONE + 6 * MIB);
    keep(1, 20 * MIB);
    now += DEFAULT_DECAY + 1;
    recent_expire(&victims);
    assert_int_equal(recent_allowance(), RECENT_ALONE);
}

/* ---- against a model: pages that are kept, and pages that are not ------- */

enum {
    PAGES = 30000,
    PAGE = 4096,
    STEPS = 5000,
};

static bool is_kept[PAGES];
static size_t kept_pages;

static void change(struct mapping mapping, bool to_kept)
{
    if (mapping.length == 0) {
        return;
    }
    size_t first = (size_t)(mapping.start - place(0)) / PAGE;
    size_t count = mapping.length / PAGE;
    assert_true(first + count <= PAGES);
    for (size_t i = first; i < first + count; i++) {
        assert_int_equal(is_kept[i], !to_kept);
        is_kept[i] = to_kept;
    }
    kept_pages += to_kept ? count : -count;
}

static void let_victims_go(void)
{
    assert_true(victims.count <= count_of(victims.mappings));
    for (size_t i = 0; i < victims.count; i++) {
        change(victims.mappings[i], false);
    }
    victims.count = 0;
    assert_true(kept_pages * PAGE <= most);
}

/* Some pages that are not kept, at a random place. */
static struct mapping random_mapping(struct rng *rng)
{
    size_t first = rng_below(rng, PAGES / 2);
    size_t count = 0, length = 1 + rng_below(rng, 3000);
    while (is_kept[first]) {
        first++;
    }
    while (count < length && !is_kept[first + count]) {
        count++;
    }
    return (struct mapping){.start = place(0) + first * PAGE,
                            .length = count * PAGE};
}

static void random_steps_lose_nothing(void **state)
{
    struct rng rng = {10};
    (void)state;
    for (unsigned step = 0; step < STEPS; step++) {
        struct mapping mapping = random_mapping(&rng);
        change(mapping, true);
        recent_expire(&victims);
        recent_keep(mapping, most, &victims);
        let_victims_go();
        now += rng_below(&rng, 100);
        if (step % 3 == 0) {
            change(recent_take(PAGE * (1 + rng_below(&rng, 3000))), false);
        }
    }
    recent_expire_all(&victims);
    let_victims_go();
    assert_int_equal(kept_pages, 0);
}

#define recent_test(name) cmocka_unit_test_setup(name, begin_anew)

int main(void)
{
    const struct CMUnitTest tests[] = {
        recent_test(what_is_kept_is_taken_once),
        recent_test(the_smallest_that_holds_it_is_taken),
        recent_test(what_is_not_needed_stays),
        recent_test(neighbours_become_one),
        recent_test(one_that_is_too_small_is_better_than_none),
        recent_test(the_oldest_go_when_there_are_too_many),
        recent_test(the_oldest_go_when_there_are_too_many_bytes),
        recent_test(too_large_a_mapping_is_not_kept),
        recent_test(the_old_expire),
        recent_test(all_expire_when_asked_to),
        recent_test(what_is_put_back_expires_as_before),
        recent_test(what_has_no_room_is_not_put_back),
        recent_test(what_is_missed_soon_is_allowed),
        recent_test(what_is_missed_late_is_not),
        recent_test(what_had_to_go_for_others_is_missed_too),
        recent_test(what_expires_is_allowed_no_more),
        recent_test(random_steps_lose_nothing),
    };
    return UNIT_RUN(tests);
}
