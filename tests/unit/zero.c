/*
 * zero.c - blocks of no bytes: each has an address, which nobody can touch.
 */
#include "zero.h"

#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "child.h"
#include "faulty_syscall.h"

enum {
    BLOCKS = ZERO_REGION / MALLOC_ALIGNMENT,
    THREADS = 4,
};

static void *given[BLOCKS];

static int by_address(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return left < right ? -1 : left > right;
}

static void no_two_are_at_one_address(void **state)
{
    (void)state;
    for (size_t i = 0; i < BLOCKS; i++) {
        given[i] = zero_allocate();
        assert_non_null(given[i]);
        assert_true(zero_contains(given[i]) && zero_is_live(given[i]));
        assert_int_equal((uintptr_t)given[i] % MALLOC_ALIGNMENT, 0);
    }
    qsort(given, BLOCKS, sizeof given[0], by_address);
    for (size_t i = 1; i < BLOCKS; i++) {
        assert_true(given[i] != given[i - 1]);
    }
}

static void when_all_are_taken_there_is_none(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_null(zero_allocate());
    }
}

/* A search that is bounded may miss it, but not for ever. */
static void what_is_freed_is_found_again(void **state)
{
    void *found = NULL;
    (void)state;
    assert_true(zero_free(given[12345]));
    assert_false(zero_is_live(given[12345]));
    assert_false(zero_free(given[12345]));
    for (int i = 0; i < BLOCKS / 64 / ZERO_PATIENCE + 1 && found == NULL; i++) {
        found = zero_allocate();
    }
    assert_ptr_equal(found, given[12345]);
    for (size_t i = 0; i < BLOCKS; i++) {
        assert_true(zero_free(given[i]));
    }
}

/* So that it shares no 64 MiB with a heap, whose neighbours' headers are read.
 */
static void it_begins_where_a_heap_would(void **state)
{
    (void)state;
    assert_int_equal((uintptr_t)zero_region % HEAP_MAX_SIZE, 0);
}

static void addresses_beside_it_are_not_in_it(void **state)
{
    (void)state;
    assert_true(zero_contains(zero_region));
    assert_true(zero_contains(zero_region + ZERO_REGION - 1));
    assert_false(zero_contains(zero_region - 1));
    assert_false(zero_contains(zero_region + ZERO_REGION));
    assert_false(zero_contains(NULL));
}

static void read_it(void *block)
{
    (void)*(volatile char *)block;
}

static void write_it(void *block)
{
    *(volatile char *)block = 0;
}

static void who_touches_one_faults(void **state)
{
    (void)state;
    child_body *const touches[] = {read_it, write_it};
    void *block = zero_allocate();
    for (size_t i = 0; i < count_of(touches); i++) {
        struct ending ending = child_run(touches[i], block);
        assert_true(WIFSIGNALED(ending.status));
        assert_int_equal(WTERMSIG(ending.status), SIGSEGV);
    }
    assert_true(zero_free(block));
}

/* Each address is this thread's alone while it has it. */
static uint32_t holders[BLOCKS];

static void *take_and_give(void *failures)
{
    for (int i = 0; i < 20000; i++) {
        void *mine[5];
        for (int j = 0; j < 5; j++) {
            mine[j] = zero_allocate();
            size_t at = ((uintptr_t)mine[j] - (uintptr_t)zero_region) / 16;
            if (__atomic_fetch_add(&holders[at], 1, __ATOMIC_RELAXED) != 0) {
                __atomic_fetch_add((int *)failures, 1, __ATOMIC_RELAXED);
            }
        }
        for (int j = 0; j < 5; j++) {
            size_t at = ((uintptr_t)mine[j] - (uintptr_t)zero_region) / 16;
            __atomic_fetch_sub(&holders[at], 1, __ATOMIC_RELAXED);
            if (!zero_free(mine[j])) {
                __atomic_fetch_add((int *)failures, 1, __ATOMIC_RELAXED);
            }
        }
    }
    return NULL;
}

static void threads_never_share_an_address(void **state)
{
    pthread_t threads[THREADS];
    int failures = 0;
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, take_and_give, &failures), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(failures, 0);
}

static pthread_barrier_t barrier;

static void *take_one_of_the_first(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 100; i++) {
        void *block = zero_allocate();
        MUST(zero_contains(block) && zero_free(block));
    }
    return NULL;
}

static void find_the_region_together(void *unused)
{
    pthread_t threads[THREADS];
    (void)unused;
    MUST(zero_region == NULL);
    MUST(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_create(&threads[i], NULL, take_one_of_the_first, NULL) ==
             0);
    }
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_join(threads[i], NULL) == 0);
    }
}

/* The thread sanitizer has something to say if one stores what another reads.
 */
static void several_may_want_the_first_one(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        child_must_succeed(find_the_region_together, NULL);
    }
}

/* In a child whose parent has no region yet. */
static void be_refused(void *plan)
{
    MUST(zero_region == NULL && !zero_contains(NULL));
    faulty_use(plan);
    MUST(zero_allocate() == NULL);
    MUST(zero_region == NULL);
    faulty_use(NULL);
    MUST(zero_allocate() == NULL); /* it is not tried again */
}

static void a_kernel_that_says_no_leaves_none(void **state)
{
    (void)state;
    static const unsigned kinds[] = {FAULTY_MMAP, FAULTY_MPROTECT,
                                     FAULTY_MUNMAP};
    for (size_t i = 0; i < count_of(kinds); i++) {
        struct faulty_plan plan = {
            .kinds = kinds[i], .first = 1, .how_many = 1};
        child_must_succeed(be_refused, &plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kernel_that_says_no_leaves_none),
        cmocka_unit_test(several_may_want_the_first_one),
        cmocka_unit_test(no_two_are_at_one_address),
        cmocka_unit_test(when_all_are_taken_there_is_none),
        cmocka_unit_test(what_is_freed_is_found_again),
        cmocka_unit_test(it_begins_where_a_heap_would),
        cmocka_unit_test(addresses_beside_it_are_not_in_it),
        cmocka_unit_test(who_touches_one_faults),
        cmocka_unit_test(threads_never_share_an_address),
    };
    return UNIT_RUN(tests);
}
