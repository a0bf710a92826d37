/*
 * parcel.c - lists of blocks, and the pool that they come from and go to.
 */
#define _GNU_SOURCE
#include "parcel.h"

#include "unit.h"

#include <pthread.h>

#include "child.h"
#include "faulty_syscall.h"
#include "os.h"

enum {
    THREADS = 4,
    ROUNDS = 50000,
    AT_A_TIME = 3,
};

static void an_entry_holds_a_block_and_its_class(void **state)
{
    void *highest = (void *)(((uintptr_t)1 << ADDRESS_BITS) - 16);
    (void)state;
    uint64_t entry = parcel_entry(highest, CLASS_COUNT - 1);
    assert_ptr_equal(entry_mem(entry), highest);
    assert_int_equal(entry_class(entry), CLASS_COUNT - 1);
    entry = parcel_entry((void *)16, 2);
    assert_ptr_equal(entry_mem(entry), (void *)16);
    assert_int_equal(entry_class(entry), 2);
}

static void a_parcel_knows_where_it_ends(void **state)
{
    struct parcel *parcel = parcel_get();
    (void)state;
    MUST(parcel != NULL);
    assert_int_equal((uintptr_t)parcel % sizeof *parcel, 0);
    uint64_t *entry = parcel->entries;
    for (size_t i = 0; i < PARCEL_BLOCKS; i++) {
        assert_false(parcel_ends_at(entry));
        assert_ptr_equal(parcel_before(entry), parcel);
        parcel_add(parcel, (void *)16, 2);
        assert_int_equal(parcel->count, i + 1);
        entry++;
    }
    assert_true(parcel_ends_at(entry));
    assert_ptr_equal(parcel_before(entry), parcel);
    parcel_put(parcel);
}

static void the_one_put_last_is_the_next(void **state)
{
    struct parcel *first = parcel_get(), *second = parcel_get();
    (void)state;
    assert_ptr_not_equal(first, second);
    parcel_add(second, (void *)16, 2);
    parcel_put(first);
    parcel_put(second);
    assert_ptr_equal(parcel_get(), second);
    assert_int_equal(second->count, 0);
    assert_ptr_equal(parcel_get(), first);
    parcel_put(first);
    parcel_put(second);
}

static const struct faulty_plan no_memory = {
    .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};

/* What the kernel has given before is still there. */
static void without_memory_there_is_none(void *unused)
{
    (void)unused;
    parcel_put(parcel_get());
    faulty_use(&no_memory);
    struct parcel *parcel, *last = NULL;
    while ((parcel = parcel_get()) != NULL) {
        last = parcel;
    }
    MUST(last != NULL);
    MUST(parcel_get() == NULL);
    parcel_put(last);
    MUST(parcel_get() == last);
}

/* Nor is it for ever, once that there is memory again. */
static void the_kernel_is_not_asked_each_time(void *unused)
{
    enum { REFUSALS = 20 };
    (void)unused;
    faulty_use(&no_memory);
    while (parcel_get() != NULL) {
    }
    MUST(faulty_calls_refused() == 1);
    for (int i = 0; i < REFUSALS * (REFUSAL_PATIENCE + 1); i++) {
        MUST(parcel_get() == NULL);
    }
    MUST(faulty_calls_refused() == 1 + REFUSALS);
    faulty_use(NULL);
    for (int i = 0; i < REFUSAL_PATIENCE; i++) {
        MUST(parcel_get() == NULL);
    }
    MUST(parcel_get() != NULL);
}

static void *ask_for_many(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        MUST(parcel_get() == NULL);
    }
    return unused;
}

/* Whoever counts at the same time, nobody is lost in waiting. */
static void threads_that_wait_come_to_an_end(void *unused)
{
    pthread_t threads[THREADS];
    (void)unused;
    faulty_use(&no_memory);
    while (parcel_get() != NULL) {
    }
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_create(&threads[i], NULL, ask_for_many, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_join(threads[i], NULL) == 0);
    }
    /* As many as there are threads may ask at once. */
    unsigned long rounds = (unsigned long)THREADS * ROUNDS / REFUSAL_PATIENCE;
    MUST(faulty_calls_refused() > 1);
    MUST(faulty_calls_refused() <= THREADS * (rounds + 2));
    faulty_use(NULL);
    struct parcel *parcel = NULL;
    for (int i = 0; parcel == NULL; i++) {
        MUST(i <= REFUSAL_PATIENCE);
        parcel = parcel_get();
    }
}

/* Nobody else writes to a parcel that this thread has got. */
static void *get_and_put(void *number)
{
    for (size_t round = 0; round < ROUNDS; round++) {
        struct parcel *mine[AT_A_TIME];
        for (size_t i = 0; i < AT_A_TIME; i++) {
            mine[i] = parcel_get();
            MUST(mine[i] != NULL && mine[i]->count == 0);
            mine[i]->entries[0] = (uintptr_t)number + i;
            mine[i]->count = round + 1;
        }
        for (size_t i = 0; i < AT_A_TIME; i++) {
            size_t which = (i + round) % AT_A_TIME;
            MUST(mine[which]->entries[0] == (uintptr_t)number + which);
            MUST(mine[which]->count == round + 1);
            parcel_put(mine[which]);
        }
    }
    return NULL;
}

static void threads_trade_through_the_pool(void *unused)
{
    pthread_t threads[THREADS];
    (void)unused;
    for (uintptr_t i = 0; i < THREADS; i++) {
        MUST(pthread_create(&threads[i], NULL, get_and_put,
                            (void *)(i * 100)) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_join(threads[i], NULL) == 0);
    }
    /* There are as many as were out at once, rounded up to a page each time
     * that there was none; each of them once. */
    faulty_use(&no_memory);
    size_t count = 0;
    struct parcel *parcel;
    while ((parcel = parcel_get()) != NULL) {
        MUST(parcel->entries[1] != 1);
        parcel->entries[1] = 1;
        count++;
    }
    faulty_use(NULL);
    MUST(count >= AT_A_TIME);
    MUST(count <=
         THREADS * AT_A_TIME * (os_page_size() / sizeof(struct parcel)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_holds_a_block_and_its_class),
        cmocka_unit_test(a_parcel_knows_where_it_ends),
        cmocka_unit_test(the_one_put_last_is_the_next),
        unit_test_in_child(without_memory_there_is_none),
        unit_test_in_child(the_kernel_is_not_asked_each_time),
        unit_test_in_child(threads_that_wait_come_to_an_end),
        unit_test_in_child(threads_trade_through_the_pool),
    };
    return UNIT_RUN(tests);
}
