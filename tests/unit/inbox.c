/*
 * inbox.c - parcels come in from any thread and go out all at once.
 */
#define _GNU_SOURCE
#include "inbox.h"

#include "unit.h"

#include <pthread.h>
#include <sched.h>

enum {
    PUSHERS = 4,
    PARCELS = 20000,
    MOST_COUNTED = 2047,
};

static struct inbox inbox;

static void parcels_come_out_newest_first(void **state)
{
    struct parcel *parcels[3];
    size_t count;
    (void)state;
    assert_false(inbox_has_any(&inbox));
    assert_null(inbox_take(&inbox, &count));
    assert_int_equal(count, 0);
    for (size_t i = 0; i < count_of(parcels); i++) {
        parcels[i] = parcel_get();
        MUST(parcels[i] != NULL);
        assert_int_equal(inbox_push(&inbox, parcels[i]), i + 1);
        assert_true(inbox_has_any(&inbox));
    }
    struct parcel *parcel = inbox_take(&inbox, &count);
    assert_int_equal(count, count_of(parcels));
    for (size_t i = count_of(parcels); i-- > 0;) {
        assert_ptr_equal(parcel, parcels[i]);
        parcel = parcel_next(parcel);
        parcel_put(parcels[i]);
    }
    assert_null(parcel);
    assert_false(inbox_has_any(&inbox));
}

static void beyond_2047_nobody_counts(void **state)
{
    enum { MANY = MOST_COUNTED + 10 };
    size_t count, found = 0;
    (void)state;
    for (size_t i = 1; i <= MANY; i++) {
        struct parcel *parcel = parcel_get();
        MUST(parcel != NULL);
        MUST(inbox_push(&inbox, parcel) == min_size(i, MOST_COUNTED));
    }
    struct parcel *parcel = inbox_take(&inbox, &count);
    assert_int_equal(count, MOST_COUNTED);
    while (parcel != NULL) {
        struct parcel *next = parcel_next(parcel);
        parcel_put(parcel);
        parcel = next;
        found++;
    }
    assert_int_equal(found, MANY);
}

/* A parcel says by whom it is and which of his it is; and it is one of a few
 * that come back through the pool, again and again. */
static void *push_all(void *number)
{
    size_t pusher = (uintptr_t)number;
    for (size_t i = 0; i < PARCELS; i++) {
        struct parcel *parcel = parcel_get();
        MUST(parcel != NULL && parcel->count == 0);
        parcel->entries[0] = pusher * PARCELS + i;
        parcel->count = 1;
        inbox_push(&inbox, parcel);
        if (i % 16 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* In what is taken at once, each pusher's newest come first; and all of it is
 * newer than what was taken before. */
static size_t check_all(struct parcel *parcel, size_t newest[PUSHERS])
{
    size_t count = 0;
    size_t last[PUSHERS], first[PUSHERS];
    for (size_t i = 0; i < PUSHERS; i++) {
        last[i] = SIZE_MAX;
        first[i] = newest[i];
    }
    while (parcel != NULL) {
        struct parcel *next = parcel_next(parcel);
        size_t pusher = parcel->entries[0] / PARCELS;
        size_t number = parcel->entries[0] % PARCELS;
        MUST(parcel->count == 1);
        MUST(pusher < PUSHERS && number < last[pusher]);
        MUST(number >= newest[pusher]);
        first[pusher] = max_size(first[pusher], number + 1);
        last[pusher] = number;
        count++;
        parcel_put(parcel);
        parcel = next;
    }
    memcpy(newest, first, sizeof first);
    return count;
}

static void nothing_is_lost_and_nothing_comes_twice(void **state)
{
    pthread_t pushers[PUSHERS];
    size_t newest[PUSHERS] = {0};
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < PUSHERS; i++) {
        MUST(pthread_create(&pushers[i], NULL, push_all, (void *)i) == 0);
    }
    while (found < PUSHERS * PARCELS) {
        size_t count;
        struct parcel *parcels = inbox_take(&inbox, &count);
        size_t got = check_all(parcels, newest);
        MUST(min_size(got, MOST_COUNTED) == count);
        found += got;
        sched_yield();
    }
    for (int i = 0; i < PUSHERS; i++) {
        MUST(pthread_join(pushers[i], NULL) == 0);
    }
    assert_int_equal(found, PUSHERS * PARCELS);
    assert_false(inbox_has_any(&inbox));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parcels_come_out_newest_first),
        cmocka_unit_test(beyond_2047_nobody_counts),
        cmocka_unit_test(nothing_is_lost_and_nothing_comes_twice),
    };
    return UNIT_RUN(tests);
}
