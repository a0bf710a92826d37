/*
 * options.c - what may be said about options in each place, who wins, and what
 * is answered to nonsense.
 *
 * The places are read in this process: the options are put back to their
 * defaults before each case, standard error goes to a file in memory, and from
 * such a one comes what ptm.conf says.
 */
#define _GNU_SOURCE
#include "options.h"
#include "settings.h"

#include "unit.h"

#include <sys/mman.h>

extern char **environ;

/* The linker lets settings.c ask these. */
bool __wrap_os_is_secure(void);
int __wrap_os_open_file(const char *path);
bool __wrap_os_program_path(char *path, size_t capacity);

static bool is_secure;

bool __wrap_os_is_secure(void)
{
    return is_secure;
}

static const char *conf; /* what ptm.conf says; NULL: there is none */
static const char *program_path = "/usr/bin/probe";
static const char *program_list; /* at ptm_options */

int __wrap_os_open_file(const char *path)
{
    assert_string_equal(path, "/etc/ptm.conf");
    if (conf == NULL) {
        return -1;
    }
    int file = memfd_create("conf", 0);
    MUST(file >= 0);
    MUST(pwrite(file, conf, strlen(conf), 0) == (ssize_t)strlen(conf));
    return file;
}

bool __wrap_os_program_path(char *path, size_t capacity)
{
    if (program_path == NULL) {
        return false;
    }
    snprintf(path, capacity, "%s", program_path);
    return true;
}

/* This program is one that brings its own options. */
static char program_text[64];
extern const char ptm_options[64] __attribute__((alias("program_text")));

static size_t defaults[OPTION_COUNT];
static char words[4096]; /* what the last reading wrote to standard error */

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
    memset(option_places, 0, sizeof option_places);
    snprintf(program_text, sizeof program_text, "%s",
             program_list != NULL ? program_list : "");
    dup2(file, STDERR_FILENO);
    environ = variables;
    bool done = settings_read();
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

static void bad_values_for_glibc_are_named(void **state)
{
    char *variables[] = {"MALLOC_ARENA_MAX=many", "MALLOC_PERTURB_=-1",
                         "MALLOC_TOP_PAD_=",      "MALLOC_MMAP_MAX_=-",
                         "MALLOC_CONF=x",         NULL};
    (void)state;
    assert_true(read_environment(variables));
    assert_string_equal(
        words, "ptm: MALLOC_ARENA_MAX: bad value 'many' for 'arena_max'\n"
               "ptm: MALLOC_PERTURB_: bad value '-1' for 'perturb'\n"
               "ptm: MALLOC_MMAP_MAX_: bad value '-' for 'mmap_max'\n");
    must_be_defaults();
}

static void what_is_negative_has_no_limit_to_glibc(void **state)
{
    (void)state;
    assert_true(read_environment(
        (char *[]){"MALLOC_TRIM_THRESHOLD_=-1",
                   "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=-1", NULL}));
    assert_string_equal(words, "");
    assert_int_equal(option_get(OPTION_TRIM_THRESHOLD), SIZE_MAX);
    assert_int_equal(option_get(OPTION_MMAP_THRESHOLD), SIZE_MAX);
}

static void what_glibc_calls_checks_is_hardened_mode(void **state)
{
    static const struct {
        char variable[40];
        unsigned hardened;
    } cases[] = {
        {"MALLOC_CHECK_=0", 0},
        {"MALLOC_CHECK_=1", 1},
        {"MALLOC_CHECK_=3", 1},
        {"GLIBC_TUNABLES=glibc.malloc.check=0", 0},
        {"GLIBC_TUNABLES=glibc.malloc.check=3", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char variable[40];
        strcpy(variable, cases[i].variable);
        assert_true(read_environment((char *[]){variable, NULL}));
        assert_string_equal(words, "");
        assert_int_equal(option_get(OPTION_HARDENED), cases[i].hardened);
    }
    assert_true(read_environment(
        (char *[]){"MALLOC_CHECK_=3", "PTM_OPTIONS=hardened=0", NULL}));
    assert_int_equal(option_get(OPTION_HARDENED), 0);
    assert_true(read_environment((char *[]){
        "MALLOC_CHECK_=x", "GLIBC_TUNABLES=glibc.malloc.hardened=1", NULL}));
    assert_string_equal(words,
                        "ptm: MALLOC_CHECK_: bad value 'x' for 'hardened'\n"
                        "ptm: GLIBC_TUNABLES: unknown option 'hardened'\n");
    assert_int_equal(option_get(OPTION_HARDENED), 0);
}

static void tunables_are_read_too(void **state)
{
    (void)state;
    assert_true(read_environment((char *[]){
        "GLIBC_TUNABLES=glibc.malloc.arena_max=5:glibc.cpu.x=1:"
        "glibc.malloc.mmap_threshold=100000:glibc.malloc.mmap_max=9:"
        "glibc.malloc.trim_threshold=200000:glibc.malloc.top_pad=0x1000:"
        "glibc.malloc.perturb=17:glibc.malloc.tcache_max=512:"
        "glibc.malloc.tcache_count=7:glibc.malloc.check=1:"
        "glibc.malloc.arena_test=2:glibc.malloc.mxfast=3:"
        "glibc.malloc.hugetlb=1:glibc.malloc.tcache_unsorted_limit=3:"
        "glibc.mem.tagging=0",
        NULL}));
    assert_string_equal(words, "");
    assert_int_equal(option_get(OPTION_ARENA_MAX), 5);
    assert_int_equal(option_get(OPTION_MMAP_THRESHOLD), 100000);
    assert_int_equal(option_get(OPTION_MMAP_MAX), 9);
    assert_int_equal(option_get(OPTION_TRIM_THRESHOLD), 200000);
    assert_int_equal(option_get(OPTION_TOP_PAD), 4096);
    assert_int_equal(option_get(OPTION_PERTURB), 17);
    assert_int_equal(option_get(OPTION_TCACHE_MAX), 512);
    assert_true(read_environment(
        (char *[]){"GLIBC_TUNABLES=glibc.malloc.tcache_count=0", NULL}));
    assert_int_equal(option_get(OPTION_TCACHE_MAX), 0);
}

static void tunables_that_are_wrong_are_named(void **state)
{
    (void)state;
    assert_true(read_environment((char *[]){
        "GLIBC_TUNABLES=glibc.malloc.arena_mx=5:glibc.malloc.arena_max=x:"
        "glibc.malloc.mapped_cache=1:glibc.malloc.",
        NULL}));
    assert_string_equal(words,
                        "ptm: GLIBC_TUNABLES: unknown option 'arena_mx'\n"
                        "ptm: GLIBC_TUNABLES: bad value 'x' for 'arena_max'\n"
                        "ptm: GLIBC_TUNABLES: unknown option 'mapped_cache'\n"
                        "ptm: GLIBC_TUNABLES: unknown option ''\n");
    must_be_defaults();
}

static void read_conf(const char *text)
{
    conf = text;
    assert_true(read_environment((char *[]){NULL}));
    conf = NULL;
}

static void the_file_is_read(void **state)
{
    (void)state;
    read_conf("# for all\n\n  arena_max = 3 , top_pad=4k # and so on\r\n"
              "perturb=9");
    assert_string_equal(words, "");
    assert_int_equal(option_get(OPTION_ARENA_MAX), 3);
    assert_int_equal(option_get(OPTION_TOP_PAD), 4096);
    assert_int_equal(option_get(OPTION_PERTURB), 9);
    read_conf("");
    assert_string_equal(words, "");
    must_be_defaults();
}

static void the_file_has_sections_for_programs(void **state)
{
    (void)state;
    read_conf("arena_max=3\n[other]\narena_max=4\nno_option=1\n"
              "[ probe ]\ntop_pad=1\n[/usr/bin/probe]\nperturb=2\n"
              "[/bin/probe]\nperturb=3\n[prob]\nperturb=4\n"
              "[]\nperturb=5\n");
    assert_string_equal(words, "");
    assert_int_equal(option_get(OPTION_ARENA_MAX), 3);
    assert_int_equal(option_get(OPTION_TOP_PAD), 1);
    assert_int_equal(option_get(OPTION_PERTURB), 2);
    program_path = NULL;
    read_conf("[probe]\nperturb=2\n");
    program_path = "/usr/bin/probe";
    assert_string_equal(words, "");
    must_be_defaults();
}

static void what_is_wrong_in_the_file_is_named_with_its_line(void **state)
{
    char text[2400];
    (void)state;
    read_conf("foo=1\n\narena_max=x\n[probe\nperturb=2\n[probe]\nbar\n");
    assert_string_equal(
        words,
        "ptm: /etc/ptm.conf line 1: unknown option 'foo'\n"
        "ptm: /etc/ptm.conf line 3: bad value 'x' for 'arena_max'\n"
        "ptm: /etc/ptm.conf line 4: no ']' behind the name of a program\n"
        "ptm: /etc/ptm.conf line 7: unknown option 'bar'\n");
    must_be_defaults();
    /* The longest line, over two readings of the file; and one longer. */
    snprintf(text, sizeof text,
             "#%*s\nperturb=2 %*s\narena_max=2%*s\n"
             "top_pad=1",
             510, "", 501, "", 502, "");
    read_conf(text);
    assert_string_equal(words, "ptm: /etc/ptm.conf line 3: too long\n");
    assert_int_equal(option_get(OPTION_PERTURB), 2);
    assert_int_equal(option_get(OPTION_ARENA_MAX), 0);
    assert_int_equal(option_get(OPTION_TOP_PAD), 1);
}

/* As many bytes as a file may have, then one more and a line. */
static void no_more_of_the_file_is_read_than_a_file_should_have(void **state)
{
    static const char last[] = "\ntop_pad=12";
    size_t length = SETTINGS_FILE_MAX - strlen(last);
    char *text = malloc(SETTINGS_FILE_MAX + 100);
    (void)state;
    MUST(text != NULL);
    memset(text, '\n', length);
    strcpy(text + length, last);
    read_conf(text);
    assert_string_equal(words, "");
    assert_int_equal(option_get(OPTION_TOP_PAD), 12);
    strcpy(text + length, "\ntop_pad=123\nperturb=5\n");
    char expected[100];
    snprintf(expected, sizeof expected,
             "ptm: /etc/ptm.conf line %zu: too long a file, the rest is not "
             "read\n",
             length + 2);
    read_conf(text);
    assert_string_equal(words, expected);
    assert_int_equal(option_get(OPTION_TOP_PAD), 0);
    assert_int_equal(option_get(OPTION_PERTURB), 0);
    free(text);
}

/* From the weakest to the strongest place: each is put above those before it.
 * The order in which they stand in the environment is the other one. */
static void the_stronger_place_wins(void **state)
{
    char *variables[] = {NULL, NULL, NULL, NULL};
    (void)state;
    program_list = "arena_max=1,top_pad=1";
    assert_true(read_environment(variables));
    assert_int_equal(option_get(OPTION_ARENA_MAX), 1);
    conf = "arena_max=2";
    assert_true(read_environment(variables));
    assert_int_equal(option_get(OPTION_ARENA_MAX), 2);
    variables[0] = "MALLOC_ARENA_MAX=3";
    assert_true(read_environment(variables));
    assert_int_equal(option_get(OPTION_ARENA_MAX), 3);
    variables[1] = variables[0];
    variables[0] = "GLIBC_TUNABLES=glibc.malloc.arena_max=4";
    assert_true(read_environment(variables));
    assert_int_equal(option_get(OPTION_ARENA_MAX), 4);
    variables[2] = variables[1];
    variables[1] = variables[0];
    variables[0] = "PTM_OPTIONS=arena_max=5";
    assert_true(read_environment(variables));
    assert_int_equal(option_get(OPTION_ARENA_MAX), 5);
    /* What only the weakest speaks of is its. */
    assert_int_equal(option_get(OPTION_TOP_PAD), 1);
    program_list = NULL;
    conf = NULL;
    assert_string_equal(words, "");
}

static void what_was_set_at_run_time_stays(void **state)
{
    (void)state;
    assert_true(read_environment((char *[]){NULL}));
    option_set(OPTION_ARENA_MAX, 9);
    char *variables[] = {"PTM_OPTIONS=arena_max=5", NULL};
    char **saved = environ;
    environ = variables;
    assert_true(settings_read());
    environ = saved;
    assert_int_equal(option_get(OPTION_ARENA_MAX), 9);
    assert_int_equal(option_places[OPTION_ARENA_MAX].origin, ORIGIN_RUN_TIME);
}

static void a_switch_needs_no_value(void **state)
{
    (void)state;
    read_list("print_options=0");
    assert_string_equal(words, "");
    read_list("print_options=");
    assert_string_equal(words,
                        "ptm: PTM_OPTIONS: bad value '' for 'print_options'\n");
    read_list("print_options=2");
    assert_string_equal(
        words, "ptm: PTM_OPTIONS: bad value '2' for 'print_options'\n");
    read_list("print_options=1");
    assert_non_null(strstr(words, "print_options = 1 (PTM_OPTIONS)"));
}

static void must_have_printed(const char *line)
{
    if (strstr(words, line) == NULL) {
        fail_msg("no line '%s' in:\n%s", line, words);
    }
}

static void all_options_can_be_printed_with_their_places(void **state)
{
    char heading[100];
    (void)state;
    program_list = "top_pad=1";
    conf = "arena_max=2\nmmap_max=9\n";
    assert_true(read_environment((char *[]){
        "MALLOC_TRIM_THRESHOLD_=3", "GLIBC_TUNABLES=glibc.malloc.perturb=4",
        "PTM_OPTIONS=print_options,mapped_cache=1k", NULL}));
    program_list = NULL;
    conf = NULL;
    snprintf(heading, sizeof heading,
             "ptm: options of process %d, /usr/bin/probe\n", (int)getpid());
    assert_memory_equal(words, heading, strlen(heading));
    must_have_printed("\nptm:   top_pad = 1 (ptm_options)\n");
    must_have_printed("\nptm:   arena_max = 2 (/etc/ptm.conf line 1)\n");
    must_have_printed("\nptm:   mmap_max = 9 (/etc/ptm.conf line 2)\n");
    must_have_printed("\nptm:   trim_threshold = 3 (MALLOC_TRIM_THRESHOLD_)\n");
    must_have_printed("\nptm:   perturb = 4 (GLIBC_TUNABLES)\n");
    must_have_printed("\nptm:   mapped_cache = 1024 (PTM_OPTIONS)\n");
    must_have_printed("\nptm:   tcache_max = 262144 (default)\n");
    /* Each once. */
    unsigned lines = 0;
    for (const char *at = words; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, 1 + OPTION_COUNT);
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

static void a_secure_program_reads_no_environment(void **state)
{
    char *variables[] = {"PTM_OPTIONS=arena_max=2,foo", "MALLOC_PERTURB_=5",
                         "GLIBC_TUNABLES=glibc.malloc.arena_max=5", NULL};
    (void)state;
    is_secure = true;
    assert_true(read_environment(variables));
    assert_string_equal(words, "");
    must_be_defaults();
    conf = "perturb=7";
    assert_true(read_environment(variables));
    conf = NULL;
    is_secure = false;
    assert_string_equal(words, "");
    assert_int_equal(option_get(OPTION_PERTURB), 7);
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
        cmocka_unit_test(bad_values_for_glibc_are_named),
        cmocka_unit_test(what_is_negative_has_no_limit_to_glibc),
        cmocka_unit_test(what_glibc_calls_checks_is_hardened_mode),
        cmocka_unit_test(tunables_are_read_too),
        cmocka_unit_test(tunables_that_are_wrong_are_named),
        cmocka_unit_test(the_file_is_read),
        cmocka_unit_test(the_file_has_sections_for_programs),
        cmocka_unit_test(what_is_wrong_in_the_file_is_named_with_its_line),
        cmocka_unit_test(no_more_of_the_file_is_read_than_a_file_should_have),
        cmocka_unit_test(the_stronger_place_wins),
        cmocka_unit_test(what_was_set_at_run_time_stays),
        cmocka_unit_test(a_switch_needs_no_value),
        cmocka_unit_test(all_options_can_be_printed_with_their_places),
        cmocka_unit_test(our_variable_overrides_that_of_glibc),
        cmocka_unit_test(names_are_compared_whole),
        cmocka_unit_test(a_secure_program_reads_no_environment),
        cmocka_unit_test(without_environment_it_is_too_early),
    };
    memcpy(defaults, option_values, sizeof defaults);
    return UNIT_RUN(tests);
}
