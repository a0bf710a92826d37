/*
 * stats_json.c - ptm_stats_json: JSON, by a parser that is not ours, with the
 * numbers of mallinfo2, cut off where there is no room.
 */
#include "api.h"

#include <malloc.h>
#include <stdio.h>

static char text[65536];

/* Runs a line of Python in which `s` is what was written. */
static void assert_in_python(const char *condition)
{
    char command[512];
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c 'import json, sys\n"
             "s = json.load(sys.stdin)\nassert %s, s'",
             condition);
    FILE *python = popen(command, "w");
    assert_non_null(python);
    fputs(text, python);
    assert_int_equal(pclose(python), 0);
}

/* What a pipe of stdio takes is there before. */
static void warm_up(void)
{
    text[0] = '1';
    assert_in_python("s == 1");
}

static void test_figures_are_those_of_mallinfo2(void **state)
{
    (void)state;
    char condition[400];
    warm_up();
    void *small = malloc(100);
    void *large = malloc(4 << 20);
    struct mallinfo2 info = mallinfo2();
    size_t length = ptm_stats_json(text, sizeof text);
    assert_int_equal(strlen(text), length);
    snprintf(condition, sizeof condition,
             "s[\"version\"] == 1 and s[\"large\"][\"count\"] == %zu and "
             "s[\"large\"][\"bytes\"] == %zu and s[\"mapped\"] == %zu and "
             "s[\"allocated\"] == %zu and "
             "s[\"free_chunks\"] + s[\"free_in_runs\"] == %zu",
             info.hblks, info.hblkhd, info.arena + info.hblkhd,
             info.uordblks + info.hblkhd, info.fordblks);
    assert_in_python(condition);
    assert_true(info.hblks >= 1);
    free(small);
    free(large);
}

static void test_arenas_add_up(void **state)
{
    (void)state;
    ptm_stats_json(text, sizeof text);
    assert_in_python("all(sum(a[k] for a in s[\"arenas\"]) == s[k] for k in "
                     "(\"free_chunks\", \"free_in_runs\", \"retained\", "
                     "\"heaps\"))");
    assert_in_python("sum(a[\"mapped\"] for a in s[\"arenas\"]) + "
                     "s[\"large\"][\"bytes\"] == s[\"mapped\"]");
    assert_in_python("s[\"arenas\"][0][\"number\"] == 1");
}

static void test_what_does_not_fit_is_counted(void **state)
{
    (void)state;
    char some[20];
    size_t length = ptm_stats_json(NULL, 0);
    assert_true(length > 100);
    memset(some, 'x', sizeof some);
    assert_int_equal(ptm_stats_json(some, 11), length);
    assert_string_equal(some, "{\"version\"");
    assert_int_equal(some[11], 'x');
    assert_int_equal(ptm_stats_json(text, length + 1), length);
    assert_int_equal(text[length - 1], '}');
    assert_int_equal(ptm_stats_json(text, length), length);
    assert_int_equal(strlen(text), length - 1);
}

static void test_it_allocates_nothing(void **state)
{
    (void)state;
    size_t before = mallinfo2().uordblks;
    ptm_stats_json(text, sizeof text);
    assert_int_equal(mallinfo2().uordblks, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_are_those_of_mallinfo2),
        cmocka_unit_test(test_arenas_add_up),
        cmocka_unit_test(test_what_does_not_fit_is_counted),
        cmocka_unit_test(test_it_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
