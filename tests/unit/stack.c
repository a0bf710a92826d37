/*
 * stack.c - frames with tables and without, and what is no stack.
 */
#include "stack.h"

#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <execinfo.h>

enum { DEPTH = 64 };

static struct {
    uintptr_t ours[DEPTH];
    void *libgccs[DEPTH];
    size_t count;
    int libgcc_count;
} seen;

__attribute__((noinline)) static void look(void)
{
    struct call call = CALL_FROM(__builtin_return_address(0));
    seen.count = stack_walk(seen.ours, DEPTH, call);
    seen.libgcc_count = backtrace(seen.libgccs, DEPTH);
}

/* Frames of all sorts: fixed, of a size known at run time, aligned, with and
 * without a frame pointer. */
typedef void step_function(int left);
static step_function *volatile steps[];

static void go_on(int left)
{
    if (left == 0) {
        look();
    } else {
        steps[left % 4](left - 1);
    }
}

static void fixed(int left)
{
    volatile char bytes[300] = {0};
    go_on(left);
    bytes[0]++;
}

static void variable(int left)
{
    volatile char *bytes = __builtin_alloca((size_t)left * 100 + 16);
    go_on(left);
    bytes[0] = 1;
}

static void aligned(int left)
{
    _Alignas(256) volatile char bytes[256] = {0};
    go_on(left);
    bytes[0]++;
}

static void aligned_and_variable(int left)
{
    _Alignas(128) volatile char bytes[128] = {0};
    volatile char *more = __builtin_alloca((size_t)left * 40 + 16);
    go_on(left);
    bytes[0]++;
    more[0] = 1;
}

static step_function *volatile steps[] = {fixed, variable, aligned,
                                          aligned_and_variable};

/* The same frames as libgcc's unwinder, from look's caller on. */
static void the_platforms_unwinder_agrees(void **state)
{
    (void)state;
    go_on(20);
    int first = 0;
    while (first < seen.libgcc_count &&
           (uintptr_t)seen.libgccs[first] != seen.ours[0]) {
        first++;
    }
    assert_in_range(seen.count, 22, DEPTH);
    assert_int_equal(seen.count, seen.libgcc_count - first);
    for (size_t i = 0; i < seen.count; i++) {
        assert_int_equal(seen.ours[i], seen.libgccs[first + (int)i]);
    }
}

static void no_more_than_wanted(void **state)
{
    (void)state;
    uintptr_t stack[4] = {0, 0, 0, 7};
    assert_int_equal(
        stack_walk(stack, 3, CALL_FROM(__builtin_return_address(0))), 3);
    assert_int_equal(stack[3], 7);
}

static void what_made_no_table_has_frame_pointers(void **state)
{
    uintptr_t frames[6] = {0}, stack[DEPTH];
    (void)state;
    frames[0] = (uintptr_t)&frames[2];
    frames[2] = (uintptr_t)&frames[4];
    frames[3] = 0x1001;
    frames[5] = 0x1002;
    size_t count = stack_walk(stack, DEPTH,
                              (struct call){.caller = (void *)0x1000,
                                            .frame = frames,
                                            .stack_pointer = frames});
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(stack[i], 0x1000 + i);
    }
}

static void nobody_is_no_caller(void **state)
{
    uintptr_t stack[DEPTH];
    (void)state;
    assert_int_equal(stack_walk(stack, DEPTH, (struct call){.caller = NULL}),
                     0);
    assert_int_equal(stack_walk(stack, DEPTH, (struct call){.caller = stack}),
                     1);
}

static void in_handler(int number)
{
    (void)number;
    look();
}

static bool libgcc_saw(uintptr_t address)
{
    for (int i = 0; i < seen.libgcc_count; i++) {
        if ((uintptr_t)seen.libgccs[i] == address) {
            return true;
        }
    }
    return false;
}

/* The kernel's frame ends it, or is passed over, where frame pointers lead to
 * what the signal has interrupted; nothing is found that is not there. Of the
 * interrupted function itself it may be another address. */
static void a_signal_does_not_lead_astray(void **state)
{
    (void)state;
    assert_true(signal(SIGUSR1, in_handler) != SIG_ERR);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
    assert_in_range(seen.count, 1, DEPTH);
    for (size_t i = 0; i < seen.count; i++) {
        assert_true(i == 1 || libgcc_saw(seen.ours[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_platforms_unwinder_agrees),
        cmocka_unit_test(no_more_than_wanted),
        cmocka_unit_test(what_made_no_table_has_frame_pointers),
        cmocka_unit_test(nobody_is_no_caller),
        cmocka_unit_test(a_signal_does_not_lead_astray),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
