/*
 * draw.c - numbers are below their bound and all of them come; threads, and the
 * children of one parent, draw others.
 */
#include "draw.h"

#include "unit.h"

#include <pthread.h>
#include <sys/mman.h>

#include "child.h"

enum {
    DRAWS = 8,
    BOUND = 1 << 30,
};

struct numbers {
    uint32_t of[DRAWS];
};

static void draw_some(void *numbers)
{
    struct numbers *drawn = numbers;
    for (int i = 0; i < DRAWS; i++) {
        drawn->of[i] = draw_below(BOUND);
    }
}

static void *draw_in_thread(void *numbers)
{
    draw_some(numbers);
    return NULL;
}

static void draw_in_child(void *numbers)
{
    draw_after_fork();
    draw_some(numbers);
}

static void every_number_below_the_bound_comes(void **state)
{
    bool seen[10] = {false};
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint32_t number = draw_below(count_of(seen));
        assert_true(number < count_of(seen));
        seen[number] = true;
    }
    for (size_t i = 0; i < count_of(seen); i++) {
        assert_true(seen[i]);
    }
    assert_int_equal(draw_below(1), 0);
}

static void each_is_about_as_likely(void **state)
{
    enum { BINS = 16, ROUNDS = 160000 };
    int counts[BINS] = {0};
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        counts[draw_below(BINS)]++;
    }
    for (int i = 0; i < BINS; i++) {
        assert_in_range(counts[i], ROUNDS / BINS * 9 / 10,
                        ROUNDS / BINS * 11 / 10);
    }
}

static void threads_and_children_draw_others(void **state)
{
    pthread_t thread;
    struct numbers *drawn =
        mmap(NULL, 4 * sizeof *drawn, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    (void)state;
    assert_true(drawn != MAP_FAILED);
    assert_int_equal(pthread_create(&thread, NULL, draw_in_thread, &drawn[0]),
                     0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    child_must_succeed(draw_in_child, &drawn[1]);
    child_must_succeed(draw_in_child, &drawn[2]);
    draw_some(&drawn[3]);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) {
            assert_memory_not_equal(&drawn[i], &drawn[j], sizeof *drawn);
        }
    }
    munmap(drawn, 4 * sizeof *drawn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_below_the_bound_comes),
        cmocka_unit_test(each_is_about_as_likely),
        cmocka_unit_test(threads_and_children_draw_others),
    };
    return UNIT_RUN(tests);
}
