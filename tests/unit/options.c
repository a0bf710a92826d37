/*
 * options.c - what the environment may say, and what is answered to it.
 *
 * PTM_OPTIONS is read in this process: the options are put back to their
 * defaults before each case, and standard error goes to a file in memory.
 */
#define _GNU_SOURCE
#include "options.h"

#include "unit.h"

#include <sys/mman.h>

extern char **environ;

/* The linker lets options.c ask this one. */
bool __wrap_os_is_secure(void);

static bool is_secure;

bool __wrap_os_is_secure(void)
{
    return is_secure;
}

static size_t defaults[OPTION_COUNT];
static char words[1024]; /* what the last reading wrote to standard error */

static void keep_words(int file)
{
    ssize_t length = pread(file, words, sizeof words - 1, 0);
    MUST(length >= 0);
    words[length] = '\0';
}

/* Reads this environment, on top of the defaults. */
static bool read_environment(char **variables)
{
    char **saved = environ;
    int file = memfd_create("words", 0);
    int saved_stderr = dup(STDERR_FILENO);
    MUST(file >= 0 && saved_stderr >= 0);
    memcpy(option_values, defaults, sizeof defaults);
    dup2(file, STDERR_FILENO);
    environ = variables;
    bool done = options_read_environment();
    environ = saved;
    dup2(saved_stderr, STDERR_FILENO);
    keep_words(file);
    close(saved_stderr);
    close(file);
    return done;
}

static void read_list(const char *list)
{
    char variable[512];
    snprintf(variable, sizeof variable, "PTM_OPTIONS=%s", list);
    assert_true(read_environment((char *[]){variable, NULL}));
}

static void must_be_defaults(void)
{
    assert_memory_equal(option_values, defaults, sizeof defaults);
}

static void the_defaults_are_those_of_config_h(void **state)
{
    (void)state;
    assert_int_equal(option_get(OPTION_ARENA_MAX), 0);
    assert_int_equal(option_get(OPTION_MMAP_THRESHOLD), DEFAULT_MMAP_THRESHOLD);
    assert_int_equal(option_get(OPTION_MMAP_MAX), DEFAULT_MMAP_MAX);
    assert_int_equal(option_get(OPTION_TRIM_THRESHOLD), DEFAULT_TRIM_THRESHOLD);
    assert_int_equal(option_get(OPTION_TOP_PAD), 0);
    assert_int_equal(option_get(OPTION_TCACHE_MAX), DEFAULT_TCACHE_MAX);
    assert_int_equal(option_get(OPTION_RUN_MAX), DEFAULT_RUN_MAX);
    assert_int_equal(option_get(OPTION_MAPPED_CACHE), DEFAULT_MAPPED_CACHE);
    assert_int_equal(option_get(OPTION_PERTURB), 0);
}

static void each_key_sets_its_option(void **state)
{
    static const struct {
        const char *list;
        enum option option;
        size_t value;
    } cases[] = {
        {"arena_max=3", OPTION_ARENA_MAX, 3},
        {"arena_max=100000", OPTION_ARENA_MAX, 100000},
        {"mmap_threshold=65536", OPTION_MMAP_THRESHOLD, 65536},
        {"mmap_threshold=18446744073709551615", OPTION_MMAP_THRESHOLD,
         SIZE_MAX},
        {"mmap_max=0", OPTION_MMAP_MAX, 0},
        {"trim_threshold=64k", OPTION_TRIM_THRESHOLD, 65536},
        {"trim_threshold=3M", OPTION_TRIM_THRESHOLD, 3 << 20},
        {"trim_threshold=2g", OPTION_TRIM_THRESHOLD, (size_t)2 << 30},
        {"trim_threshold=0x10K", OPTION_TRIM_THRESHOLD, 16384},
        {"mmap_threshold=17179869183g", OPTION_MMAP_THRESHOLD,
         (size_t)17179869183 << 30},
        {"top_pad=64m", OPTION_TOP_PAD, 64 << 20},
        {"top_pad=0xffffffffffffffff", OPTION_TOP_PAD, SIZE_MAX},
        {"tcache_max=0", OPTION_TCACHE_MAX, 0},
        {"tcache_max=1k", OPTION_TCACHE_MAX, 1024},
        {"run_max=0", OPTION_RUN_MAX, 0},
        {"run_max=512", OPTION_RUN_MAX, 512},
        {"mapped_cache=0", OPTION_MAPPED_CACHE, 0},
        {"mapped_cache=1g", OPTION_MAPPED_CACHE, 1 << 30},
        {"perturb=0xa5", OPTION_PERTURB, 0xa5},
        {"perturb=255", OPTION_PERTURB, 255},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        read_list(cases[i].list);
        assert_string_equal(words, "");
        assert_int_equal(option_get(cases[i].option), cases[i].value);
        option_set(cases[i].option, defaults[cases[i].option]);
        must_be_defaults();
    }
}

static void a_list_is_read_from_left_to_right(void **state)
{
    (void)state;
    read_list(",arena_max=2,,top_pad=4k,arena_max=7,");
    assert_string_equal(words, "");
    assert_int_equal(option_get(OPTION_ARENA_MAX), 7);
    assert_int_equal(option_get(OPTION_TOP_PAD), 4096);
    read_list("");
    assert_string_equal(words, "");
    must_be_defaults();
}

static void what_is_not_understood_is_named(void **state)
{
    static const struct {
        const char *list, *words;
    } cases[] = {
        {"foo=1", "ptm: PTM_OPTIONS: unknown option 'foo'\n"},
        {"foo", "ptm: PTM_OPTIONS: unknown option 'foo'\n"},
        {"=5", "ptm: PTM_OPTIONS: unknown option ''\n"},
        {"arena_ma=1", "ptm: PTM_OPTIONS: unknown option 'arena_ma'\n"},
        {"arena_maxx=1", "ptm: PTM_OPTIONS: unknown option 'arena_maxx'\n"},
        {"ARENA_MAX=1", "ptm: PTM_OPTIONS: unknown option 'ARENA_MAX'\n"},
        {" arena_max=1", "ptm: PTM_OPTIONS: unknown option ' arena_max'\n"},
        {"arena_max=x", "ptm: PTM_OPTIONS: bad value 'x' for 'arena_max'\n"},
        {"arena_max", "ptm: PTM_OPTIONS: bad value '' for 'arena_max'\n"},
        {"arena_max=", "ptm: PTM_OPTIONS: bad value '' for 'arena_max'\n"},
        {"arena_max=-1", "ptm: PTM_OPTIONS: bad value '-1' for 'arena_max'\n"},
        {"arena_max=1=2",
         "ptm: PTM_OPTIONS: bad value '1=2' for 'arena_max'\n"},
        {"perturb=256", "ptm: PTM_OPTIONS: bad value '256' for 'perturb'\n"},
        {"perturb=0x", "ptm: PTM_OPTIONS: bad value '0x' for 'perturb'\n"},
        {"perturb=0xk", "ptm: PTM_OPTIONS: bad value '0xk' for 'perturb'\n"},
        {"perturb=0xg1", "ptm: PTM_OPTIONS: bad value '0xg1' for 'perturb'\n"},
        {"perturb=1f", "ptm: PTM_OPTIONS: bad value '1f' for 'perturb'\n"},
        {"perturb=1 ", "ptm: PTM_OPTIONS: bad value '1 ' for 'perturb'\n"},
        {"perturb= 1", "ptm: PTM_OPTIONS: bad value ' 1' for 'perturb'\n"},
        {"top_pad=k", "ptm: PTM_OPTIONS: bad value 'k' for 'top_pad'\n"},
        {"top_pad=1kk", "ptm: PTM_OPTIONS: bad value '1kk' for 'top_pad'\n"},
        {"top_pad=1t", "ptm: PTM_OPTIONS: bad value '1t' for 'top_pad'\n"},
        {"mmap_max=18446744073709551616",
         "ptm: PTM_OPTIONS: bad value '18446744073709551616' for "
         "'mmap_max'\n"},
        {"mmap_max=17179869184g",
         "ptm: PTM_OPTIONS: bad value '17179869184g' for 'mmap_max'\n"},
        {"foo=1,bar=2", "ptm: PTM_OPTIONS: unknown option 'foo'\n"
                        "ptm: PTM_OPTIONS: unknown option 'bar'\n"},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        read_list(cases[i].list);
        assert_string_equal(words, cases[i].words);
        must_be_defaults();
    }
}

static void a_bad_pair_does_not_stop_the_good_ones(void **state)
{
    (void)state;
    read_list("foo=1,arena_max=2,perturb=999,top_pad=1m");
    assert_string_equal(words, "ptm: PTM_OPTIONS: unknown option 'foo'\n"
                               "ptm: PTM_OPTIONS: bad value '999' for "
                               "'perturb'\n");
    assert_int_equal(option_get(OPTION_ARENA_MAX), 2);
    assert_int_equal(option_get(OPTION_TOP_PAD), 1 << 20);
    assert_int_equal(option_get(OPTION_PERTURB), 0);
}

static void a_long_key_is_cut_to_64_bytes(void **state)
{
    char list[101] = "";
    char expected[128];
    (void)state;
    memset(list, 'x', 100);
    read_list(list);
    snprintf(expected, sizeof expected,
             "ptm: PTM_OPTIONS: unknown option '%.64s'\n", list);
    assert_string_equal(words, expected);
}

static void glibc_variables_are_read_too(void **state)
{
    char *variables[] = {
        "MALLOC_ARENA_MAX=5",
        "MALLOC_MMAP_THRESHOLD_=100000",
        "MALLOC_MMAP_MAX_=9",
        "MALLOC_TRIM_THRESHOLD_=200000",
        "MALLOC_TOP_PAD_=300000",
        "MALLOC_PERTURB_=17",
        "MALLOC_ARENA_TEST=8",
        "MALLOC_CHECK_=3",
        "XMALLOC_ARENA_MAX=6",
        "MALLOC_ARENA_MAX_=7",
        NULL,
    };
    (void)state;
    assert_true(read_environment(variables));
    assert_string_equal(words, "");
    assert_int_equal(option_get(OPTION_ARENA_MAX), 5);
    assert_int_equal(option_get(OPTION_MMAP_THRESHOLD), 100000);
    assert_int_equal(option_get(OPTION_MMAP_MAX), 9);
    assert_int_equal(option_get(OPTION_TRIM_THRESHOLD), 200000);
    assert_int_equal(option_get(OPTION_TOP_PAD), 300000);
    assert_int_equal(option_get(OPTION_PERTURB), 17);
}

static void bad_values_for_glibc_are_passed_over(void **state)
{
    char *variables[] = {"MALLOC_ARENA_MAX=many", "MALLOC_PERTURB_=-1",
                         "MALLOC_TOP_PAD_=", NULL};
    (void)state;
    assert_true(read_environment(variables));
    assert_string_equal(words, "");
    must_be_defaults();
}

/* Wherever in the environment it stands. */
static void our_variable_overrides_that_of_glibc(void **state)
{
    (void)state;
    assert_true(read_environment(
        (char *[]){"PTM_OPTIONS=arena_max=2", "MALLOC_ARENA_MAX=5", NULL}));
    assert_int_equal(option_get(OPTION_ARENA_MAX), 2);
    assert_true(read_environment(
        (char *[]){"MALLOC_ARENA_MAX=5", "PTM_OPTIONS=arena_max=2", NULL}));
    assert_int_equal(option_get(OPTION_ARENA_MAX), 2);
}

static void names_are_compared_whole(void **state)
{
    char *variables[] = {"PTM_OPTIONSX=arena_max=2", "PTM_OPTION=arena_max=2",
                         "APTM_OPTIONS=arena_max=2", "PTM_OPTIONS",
                         "MALLOC_ARENA_MAXX=4",      NULL};
    (void)state;
    assert_true(read_environment(variables));
    assert_string_equal(words, "");
    must_be_defaults();
}

static void a_secure_program_reads_nothing(void **state)
{
    (void)state;
    is_secure = true;
    assert_true(read_environment(
        (char *[]){"PTM_OPTIONS=arena_max=2,foo", "MALLOC_PERTURB_=5", NULL}));
    is_secure = false;
    assert_string_equal(words, "");
    must_be_defaults();
}

static void without_environment_it_is_too_early(void **state)
{
    (void)state;
    assert_false(read_environment(NULL));
    must_be_defaults();
    assert_true(read_environment((char *[]){NULL}));
    must_be_defaults();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_config_h),
        cmocka_unit_test(each_key_sets_its_option),
        cmocka_unit_test(a_list_is_read_from_left_to_right),
        cmocka_unit_test(what_is_not_understood_is_named),
        cmocka_unit_test(a_bad_pair_does_not_stop_the_good_ones),
        cmocka_unit_test(a_long_key_is_cut_to_64_bytes),
        cmocka_unit_test(glibc_variables_are_read_too),
        cmocka_unit_test(bad_values_for_glibc_are_passed_over),
        cmocka_unit_test(our_variable_overrides_that_of_glibc),
        cmocka_unit_test(names_are_compared_whole),
        cmocka_unit_test(a_secure_program_reads_nothing),
        cmocka_unit_test(without_environment_it_is_too_early),
    };
    memcpy(defaults, option_values, sizeof defaults);
    return UNIT_RUN(tests);
}
