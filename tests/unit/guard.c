/*
 * guard.c - the slots, whose turn it is, who called, and a kernel that says no.
 * What a crime leads to is tests/life/guard.c's affair.
 */
#include "guard.h"

#include "unit.h"

#include <pthread.h>
#include <sys/mman.h>

#include "child.h"
#include "fatal.h"
#include "faulty_syscall.h"
#include "options.h"
#include "os.h"

enum {
    THREADS = 4,
    ROUNDS = 3000,
};

static const struct call nobody;

static void the_interval_is_kept_on_average(void **state)
{
    enum { BLOCKS = 1000000, INTERVAL = 100 };
    size_t picked = 0;
    (void)state;
    option_set(OPTION_GUARD, INTERVAL);
    for (int i = 0; i < BLOCKS; i++) {
        picked += guard_is_due();
    }
    assert_in_range(picked, BLOCKS / INTERVAL * 9 / 10,
                    BLOCKS / INTERVAL * 11 / 10);
    /* Those that go by in company count. */
    picked = 0;
    for (int i = 0; i < BLOCKS / 10; i++) {
        guard_count(9);
        picked += guard_is_due();
    }
    assert_in_range(picked, BLOCKS / INTERVAL * 8 / 10,
                    BLOCKS / INTERVAL * 11 / 10);
    option_set(OPTION_GUARD, 0);
    for (int i = 0; i < BLOCKS; i++) {
        assert_false(guard_is_due());
    }
    option_set(OPTION_GUARD, DEFAULT_GUARD);
}

static void there_are_as_many_as_slots(void **state)
{
    void *blocks[GUARD_SLOTS];
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < GUARD_SLOTS; i++) {
            blocks[i] = guard_allocate(50, nobody);
            assert_non_null(blocks[i]);
            assert_true(guard_contains(blocks[i]));
            assert_int_equal((uintptr_t)blocks[i] % MALLOC_ALIGNMENT, 0);
            assert_int_equal(guard_usable_size(blocks[i], where_usable_size),
                             50);
        }
        assert_null(guard_allocate(50, nobody));
        for (int i = 0; i < GUARD_SLOTS; i++) {
            guard_free(blocks[i], nobody);
        }
    }
}

static void none_is_larger_than_a_page(void **state)
{
    (void)state;
    assert_null(guard_allocate(0, nobody));
    assert_null(guard_allocate(os_page_size() + 1, nobody));
    char *block = guard_allocate(os_page_size(), nobody);
    assert_non_null(block);
    assert_int_equal(block[0] | block[os_page_size() - 1], 0);
    guard_free(block, nobody);
}

static void a_kernel_that_says_no_leaves_no_block(void **state)
{
    (void)state;
    struct faulty_plan plan = {
        .kinds = FAULTY_MPROTECT, .first = 1, .how_many = 2 * GUARD_SLOTS};
    faulty_use(&plan);
    for (int i = 0; i < 2 * GUARD_SLOTS; i++) {
        assert_null(guard_allocate(50, nobody));
    }
    faulty_use(NULL);
    void *block = guard_allocate(50, nobody);
    assert_non_null(block);
    /* It is freed all the same; what is touched then goes unnoticed. */
    faulty_use(&(struct faulty_plan){
        .kinds = FAULTY_ALL, .first = 1, .how_many = FAULTY_FOR_EVER});
    guard_free(block, nobody);
    faulty_use(NULL);
    there_are_as_many_as_slots(state);
}

static void be_refused_a_pool(void *plan)
{
    MUST(guard_pool == NULL && !guard_contains(NULL));
    faulty_use(plan);
    MUST(guard_allocate(50, nobody) == NULL && guard_pool == NULL);
    faulty_use(NULL);
    MUST(guard_allocate(50, nobody) == NULL); /* it is not tried again */
}

static void without_a_pool_there_is_none(void **state)
{
    static const unsigned kinds[] = {FAULTY_MMAP, FAULTY_MPROTECT,
                                     FAULTY_MUNMAP};
    (void)state;
    for (size_t i = 0; i < count_of(kinds); i++) {
        struct faulty_plan plan = {
            .kinds = kinds[i], .first = 1, .how_many = 1};
        child_must_succeed(be_refused_a_pool, &plan);
    }
}

/* A frame leads to the next one; what does not look like one, or cannot be
 * read, is where it ends. */
static void frames_that_lead_nowhere_are_not_followed(void **state)
{
    size_t page = os_page_size();
    char *area = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uintptr_t *frame = (uintptr_t *)area;
    (void)state;
    assert_int_equal(munmap(area + page, page), 0);
    const uintptr_t nowhere[] = {
        0,
        1,
        (uintptr_t)area,
        (uintptr_t)area + 4,
        (uintptr_t)area - 64,
        (uintptr_t)area + page,
        (uintptr_t)area + page - 8,
        (uintptr_t)area + 2 * STACK_FRAME_MAX,
        UINTPTR_MAX - 7,
        0x4141414141414140,
    };
    for (size_t i = 0; i < count_of(nowhere); i++) {
        frame[0] = (uintptr_t)(frame + 4);
        frame[1] = 1;
        frame[4] = nowhere[i];
        frame[5] = 2;
        void *block =
            guard_allocate(50, (struct call){.caller = frame, .frame = frame});
        assert_non_null(block);
        guard_free(block, (struct call){.caller = frame, .frame = frame});
    }
    assert_int_equal(munmap(area, page), 0);
}

static void read_freed(void *stack)
{
    void *block = guard_allocate(
        50, (struct call){.caller = (void *)0x1000, .frame = stack});
    guard_free(block, (struct call){.caller = (void *)0x2000});
    guard_report_fault(block);
}

static void callers_are_told(void **state)
{
    (void)state;
    uintptr_t stack[6];
    stack[0] = (uintptr_t)&stack[2];
    stack[1] = 0;
    stack[2] = (uintptr_t)&stack[4];
    stack[3] = 0x1001;
    stack[4] = 0;
    stack[5] = 0x1002;
    struct ending ending = child_run(read_freed, stack);
    assert_non_null(
        strstr(ending.words, "ptm: guard: use of a freed block: address 0x"));
    assert_non_null(strstr(ending.words,
                           "ptm: allocated by 0x1000 0x1001 0x1002\n"
                           "ptm: freed by 0x2000\n"));
}

static void *take_and_give(void *failures)
{
    for (int i = 0; i < ROUNDS; i++) {
        unsigned char *block = guard_allocate(64, nobody);
        if (block == NULL) {
            continue;
        }
        memset(block, (int)(uintptr_t)&block, 64);
        for (int at = 0; at < 64; at++) {
            if (block[at] != (unsigned char)(uintptr_t)&block) {
                __atomic_fetch_add((int *)failures, 1, __ATOMIC_RELAXED);
            }
        }
        guard_free(block, nobody);
    }
    return NULL;
}

static void threads_never_share_a_slot(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_pool_there_is_none),
        cmocka_unit_test(the_interval_is_kept_on_average),
        cmocka_unit_test(there_are_as_many_as_slots),
        cmocka_unit_test(none_is_larger_than_a_page),
        cmocka_unit_test(a_kernel_that_says_no_leaves_no_block),
        cmocka_unit_test(frames_that_lead_nowhere_are_not_followed),
        cmocka_unit_test(callers_are_told),
        cmocka_unit_test(threads_never_share_a_slot),
    };
    return UNIT_RUN(tests);
}
