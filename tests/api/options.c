/*
 * PTM_OPTIONS and glibc's own variables: each option does what it says, what
 * cannot be understood is named in one line and the rest is obeyed, and a
 * set-user-ID program obeys nothing.
 *
 * The environment is read once in a process, so each case is a process of its
 * own: this program run again with "probe QUESTION" answers one question about
 * its allocator with its exit status.
 */
#include "api.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "contention.h"

enum {
    SECURE_IDENTITY = 65534, /* nobody */
    NOT_SECURE = 100,
    COULD_NOT_RUN = 101,
};

static int errno_at_start;

/* The questions. */

static int is_mapped(const char *size)
{
    size_t mappings = mallinfo2().hblks;
    void *volatile block = malloc(strtoul(size, NULL, 10));
    return block != NULL && mallinfo2().hblks > mappings;
}

static int arenas(const char *unused)
{
    (void)unused;
    return arenas_after_contention(PATIENCE_OF_TESTS);
}

/* The same where one is expected. */
static int arenas_if_limited(const char *unused)
{
    (void)unused;
    return arenas_after_contention(PATIENCE_WITH_ONE_ARENA);
}

/* Whether a heap grows by 16 MiB at least. */
static int grows_far(const char *unused)
{
    (void)unused;
    void *volatile first = malloc(100);
    size_t bytes = mallinfo2().arena;
    for (int i = 0; i < 1000 && mallinfo2().arena == bytes; i++) {
        first = malloc(HEAP_BLOCK);
    }
    return first != NULL && mallinfo2().arena - bytes >= 16UL << 20;
}

/* How many of 3 MiB at the top stay when they are freed. The blocks are too
 * large for a cache. */
static int megabytes_kept(const char *unused)
{
    (void)unused;
    enum { BLOCKS = 10, BLOCK = 310000 };
    char *blocks[BLOCKS];
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK);
        memset(blocks[i], 1, BLOCK);
    }
    for (int i = BLOCKS; i > 0; i--) {
        free(blocks[i - 1]);
        if (i == BLOCKS / 2) {
            /* What is too much for a while is too much. */
            usleep(200000);
        }
    }
    size_t pages = 0;
    for (int i = 0; i < BLOCKS; i++) {
        pages += resident_pages(blocks[i], BLOCK);
    }
    return (int)((pages * page_size() + (1 << 19)) >> 20);
}

static int first_byte(const char *unused)
{
    (void)unused;
    unsigned char *block = malloc(1000);
    memset(block, 0x77, 1000);
    free(block);
    block = malloc(1000);
    return block[500];
}

/* Whether a block of that size stays in use when it is freed: in the cache. */
static int is_cached(const char *size)
{
    void *block = malloc(strtoul(size, NULL, 10));
    malloc_trim(1UL << 40);
    size_t in_use = mallinfo2().uordblks;
    free(block);
    return mallinfo2().uordblks == in_use;
}

/* Whether a freed mapping stays for a while, and goes when it is asked for. */
/* Whether blocks of this size are objects of runs, once they are in demand:
 * those have no header, so that all of their size is usable. */
static int is_object(const char *size)
{
    void *volatile block = NULL;
    for (int i = 0; i < 1000; i++) {
        block = malloc(strtoul(size, NULL, 10));
    }
    return malloc_usable_size(block) % 16 == 0;
}

static int is_kept(const char *size)
{
    size_t asked = strtoul(size, NULL, 10);
    void *block = malloc(asked);
    memset(block, 1, asked);
    free(block);
    bool stayed = resident_pages(block, asked) > 0;
    malloc_trim(1UL << 40);
    return resident_pages(block, asked) > 0 ? COULD_NOT_RUN : stayed;
}

/* How much more than asked for a block holds. */
static int surplus(const char *size)
{
    size_t asked = strtoul(size, NULL, 10);
    size_t more = malloc_usable_size(malloc(asked)) - asked;
    return more < 100 ? (int)more : 99;
}

static int error_at_start(const char *unused)
{
    (void)unused;
    return errno_at_start;
}

static const struct question {
    const char *name;
    int (*answer)(const char *argument);
} questions[] = {
    {"is_mapped", is_mapped},
    {"arenas", arenas},
    {"arenas_if_limited", arenas_if_limited},
    {"grows_far", grows_far},
    {"megabytes_kept", megabytes_kept},
    {"first_byte", first_byte},
    {"is_cached", is_cached},
    {"is_object", is_object},
    {"is_kept", is_kept},
    {"surplus", surplus},
    {"errno", error_at_start},
};

static int answer(const char *name, const char *argument)
{
    for (unsigned i = 0; i < count_of(questions); i++) {
        if (strcmp(questions[i].name, name) == 0) {
            return questions[i].answer(argument);
        }
    }
    return COULD_NOT_RUN;
}

/* Asking: the process, its exit status, and what it wrote on stderr. */

struct reply {
    int status;
    char warnings[1024];
};

struct inquiry {
    const char *program; /* NULL: this one */
    const char *setting; /* "NAME=value", or NULL */
    const char *question;
    const char *argument;
};

static void become_the_probe(const struct inquiry *inquiry, int error_output)
{
    char *setting = (char *)(uintptr_t)inquiry->setting;
    const char *program =
        inquiry->program != NULL ? inquiry->program : "/proc/self/exe";
    dup2(error_output, 2);
    if (setting != NULL && putenv(setting) != 0) {
        _exit(COULD_NOT_RUN);
    }
    execl(program, program, "probe", inquiry->question,
          inquiry->argument != NULL ? inquiry->argument : "", (char *)NULL);
    _exit(COULD_NOT_RUN);
}

static struct reply ask(const struct inquiry *inquiry)
{
    struct reply reply = {.status = -1};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        become_the_probe(inquiry, ends[1]);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], reply.warnings + length,
                       sizeof reply.warnings - 1 - length)) > 0) {
        length += (size_t)got;
    }
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    reply.status = WEXITSTATUS(status);
    return reply;
}

/* The answer of a probe that has nothing to complain about. */
static int quiet_answer(const char *setting, const char *question,
                        const char *argument)
{
    struct reply reply = ask(&(struct inquiry){
        .setting = setting, .question = question, .argument = argument});
    assert_string_equal(reply.warnings, "");
    return reply.status;
}

static const char *warnings(const char *setting)
{
    static struct reply reply;
    reply = ask(&(struct inquiry){.setting = setting, .question = "errno"});
    assert_int_equal(reply.status, 0);
    return reply.warnings;
}

static void without_options_the_defaults_hold(void **state)
{
    (void)state;
    assert_int_equal(quiet_answer(NULL, "is_mapped", "70000"), 0);
    assert_int_equal(quiet_answer(NULL, "is_mapped", "262144"), 1);
    assert_int_equal(quiet_answer(NULL, "grows_far", NULL), 0);
    assert_int_equal(quiet_answer(NULL, "first_byte", NULL), 0x77);
    assert_in_range(quiet_answer(NULL, "arenas", NULL), 2, 99);
    assert_int_equal(quiet_answer(NULL, "megabytes_kept", NULL) < 2, 1);
}

static void every_option_takes_effect(void **state)
{
    (void)state;
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=mmap_threshold=65536", "is_mapped", "70000"),
        1);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=mmap_max=0", "is_mapped", "1000000"), 0);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=arena_max=1", "arenas_if_limited", NULL), 1);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=top_pad=20000000", "grows_far", NULL), 1);
    assert_int_equal(quiet_answer("PTM_OPTIONS=trim_threshold=8000000",
                                  "megabytes_kept", NULL),
                     3);
    assert_int_equal(quiet_answer("PTM_OPTIONS=perturb=90", "first_byte", NULL),
                     90 ^ 0xff);
}

static void assert_cached_up_to(const char *setting, const char *cached,
                                const char *not_cached)
{
    if (cached != NULL) {
        assert_int_equal(quiet_answer(setting, "is_cached", cached), 1);
    }
    assert_int_equal(quiet_answer(setting, "is_cached", not_cached), 0);
}

/* The limit is one on chunks: 8 bytes more than is asked for. Above 1 KiB their
 * sizes are a little larger than round ones. */
static void tcache_max_limits_what_is_cached(void **state)
{
    (void)state;
    assert_cached_up_to("PTM_OPTIONS=tcache_max=0", NULL, "24");
    assert_cached_up_to("PTM_OPTIONS=tcache_max=31", NULL, "24");
    assert_cached_up_to("PTM_OPTIONS=tcache_max=32", "24", "25");
    assert_cached_up_to("PTM_OPTIONS=tcache_max=32", "0", "40");
    assert_cached_up_to("PTM_OPTIONS=tcache_max=512", "504", "505");
    assert_cached_up_to("PTM_OPTIONS=tcache_max=1k", "1016", "1017");
    assert_cached_up_to("PTM_OPTIONS=tcache_max=4k", "4104", "4105");
    assert_cached_up_to("PTM_OPTIONS=tcache_max=64k", "65544", "65545");
    /* More than the largest class is as much as that. */
    assert_cached_up_to("PTM_OPTIONS=tcache_max=1g,mmap_threshold=1m", "262143",
                        "262153");
    assert_cached_up_to(
        "PTM_OPTIONS=tcache_max=0xffffffffffffffff,mmap_threshold=1m", "262143",
        "262153");
    assert_cached_up_to("PTM_OPTIONS=mmap_threshold=1m", "262143", "262153");
}

static void assert_objects_up_to(const char *setting, const char *object,
                                 const char *chunk)
{
    if (object != NULL) {
        assert_int_equal(quiet_answer(setting, "is_object", object), 1);
    }
    assert_int_equal(quiet_answer(setting, "is_object", chunk), 0);
}

static void run_max_limits_what_runs_serve(void **state)
{
    (void)state;
    assert_objects_up_to("PTM_OPTIONS=run_max=0", NULL, "1");
    assert_objects_up_to("PTM_OPTIONS=run_max=15", NULL, "1");
    assert_objects_up_to("PTM_OPTIONS=run_max=16", "16", "17");
    assert_objects_up_to("PTM_OPTIONS=run_max=500", "496", "497");
    assert_objects_up_to("PTM_OPTIONS=run_max=1k", "1024", "1025");
    assert_objects_up_to("PTM_OPTIONS=run_max=1g", "1024", "1025");
    assert_objects_up_to("PTM_OPTIONS=", "1024", "1025");
    /* Runs serve caches. */
    assert_objects_up_to("PTM_OPTIONS=tcache_max=0", NULL, "100");
    assert_objects_up_to("PTM_OPTIONS=tcache_max=128", "100", "200");
}

static void mapped_cache_limits_what_is_kept(void **state)
{
    (void)state;
    assert_int_equal(quiet_answer("PTM_OPTIONS=", "is_kept", "1500000"), 1);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=mapped_cache=0", "is_kept", "1500000"), 0);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=mapped_cache=1m", "is_kept", "1500000"), 0);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=mapped_cache=64m", "is_kept", "1500000"), 1);
}

/* Without caches nothing is rounded up to a class. */
static void tcache_max_limits_what_is_rounded(void **state)
{
    (void)state;
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=tcache_max=0", "surplus", "1128"), 0);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=tcache_max=1k", "surplus", "1128"), 0);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=tcache_max=2k", "surplus", "1128"), 32);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=tcache_max=2k", "surplus", "200008"), 0);
    assert_int_equal(quiet_answer("PTM_OPTIONS=top_pad=0", "surplus", "200008"),
                     99);
}

static void numbers_may_be_hexadecimal_or_have_a_unit(void **state)
{
    (void)state;
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=perturb=0x5a", "first_byte", NULL), 0xa5);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=mmap_threshold=64k", "is_mapped", "65536"),
        1);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=mmap_threshold=64k", "is_mapped", "65000"),
        0);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=mmap_threshold=1M", "is_mapped", "1048576"),
        1);
    assert_int_equal(
        quiet_answer("PTM_OPTIONS=mmap_threshold=1M", "is_mapped", "1048000"),
        0);
}

static void several_options_take_effect_together(void **state)
{
    (void)state;
    static const char list[] =
        "PTM_OPTIONS=perturb=90,mmap_threshold=65536,,arena_max=1,";
    assert_int_equal(quiet_answer(list, "first_byte", NULL), 90 ^ 0xff);
    assert_int_equal(quiet_answer(list, "is_mapped", "70000"), 1);
    assert_int_equal(quiet_answer(list, "arenas_if_limited", NULL), 1);
    assert_int_equal(quiet_answer("PTM_OPTIONS=", "first_byte", NULL), 0x77);
}

static void the_variables_of_glibc_take_effect(void **state)
{
    (void)state;
    assert_int_equal(
        quiet_answer("MALLOC_MMAP_THRESHOLD_=65536", "is_mapped", "70000"), 1);
    assert_int_equal(quiet_answer("MALLOC_MMAP_MAX_=0", "is_mapped", "1000000"),
                     0);
    assert_int_equal(
        quiet_answer("MALLOC_ARENA_MAX=1", "arenas_if_limited", NULL), 1);
    assert_int_equal(
        quiet_answer("MALLOC_TOP_PAD_=20000000", "grows_far", NULL), 1);
    assert_int_equal(quiet_answer("MALLOC_TRIM_THRESHOLD_=1000000",
                                  "megabytes_kept", NULL) < 2,
                     1);
    assert_int_equal(quiet_answer("MALLOC_PERTURB_=90", "first_byte", NULL),
                     90 ^ 0xff);
    assert_int_equal(quiet_answer("GLIBC_TUNABLES=glibc.malloc.perturb=90",
                                  "first_byte", NULL),
                     90 ^ 0xff);
}

static void unknown_options_are_named(void **state)
{
    (void)state;
    assert_string_equal(warnings("PTM_OPTIONS=foo=1"),
                        "ptm: PTM_OPTIONS: unknown option 'foo'\n");
    assert_string_equal(warnings("PTM_OPTIONS=foo"),
                        "ptm: PTM_OPTIONS: unknown option 'foo'\n");
    assert_string_equal(warnings("PTM_OPTIONS=Perturb=1"),
                        "ptm: PTM_OPTIONS: unknown option 'Perturb'\n");
    assert_string_equal(warnings("PTM_OPTIONS=perturb2=1"),
                        "ptm: PTM_OPTIONS: unknown option 'perturb2'\n");
    assert_string_equal(warnings("PTM_OPTIONS=foo=1,bar=2"),
                        "ptm: PTM_OPTIONS: unknown option 'foo'\n"
                        "ptm: PTM_OPTIONS: unknown option 'bar'\n");
}

static void bad_values_are_named(void **state)
{
    (void)state;
    static const char *const values[] = {
        "x",   "",
        "-1",  "12x",
        "1 ",  " 1",
        "0x",  "kk",
        "1kk", "k",
        "1.5", "99999999999999999999",
        "-",   "20000000000g",
    };
    for (unsigned i = 0; i < count_of(values); i++) {
        char setting[100], expected[100];
        snprintf(setting, sizeof setting, "PTM_OPTIONS=arena_max=%s",
                 values[i]);
        snprintf(expected, sizeof expected,
                 "ptm: PTM_OPTIONS: bad value '%s' for 'arena_max'\n",
                 values[i]);
        assert_string_equal(warnings(setting), expected);
    }
    assert_string_equal(warnings("PTM_OPTIONS=perturb"),
                        "ptm: PTM_OPTIONS: bad value '' for 'perturb'\n");
    assert_string_equal(warnings("MALLOC_PERTURB_=x"),
                        "ptm: MALLOC_PERTURB_: bad value 'x' for 'perturb'\n");
    assert_string_equal(warnings("PTM_OPTIONS=perturb=256"),
                        "ptm: PTM_OPTIONS: bad value '256' for 'perturb'\n");
}

static void the_rest_of_the_list_is_obeyed(void **state)
{
    (void)state;
    static const struct inquiry inquiry = {
        .setting = "PTM_OPTIONS=foo=1,arena_max=x,mmap_threshold=65536",
        .question = "is_mapped",
        .argument = "70000",
    };
    struct reply reply = ask(&inquiry);
    assert_int_equal(reply.status, 1);
    assert_string_equal(reply.warnings,
                        "ptm: PTM_OPTIONS: unknown option 'foo'\n"
                        "ptm: PTM_OPTIONS: bad value 'x' for 'arena_max'\n");
}

static void reading_options_leaves_errno_alone(void **state)
{
    (void)state;
    assert_int_equal(quiet_answer("PTM_OPTIONS=perturb=90", "errno", NULL), 0);
    assert_string_equal(warnings("PTM_OPTIONS=perturb=1,foo"),
                        "ptm: PTM_OPTIONS: unknown option 'foo'\n");
}

static void copy_this_program(const char *path)
{
    static char bytes[65536];
    int from = open("/proc/self/exe", O_RDONLY);
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
    ssize_t got;
    assert_true(from >= 0 && to >= 0);
    while ((got = read(from, bytes, sizeof bytes)) > 0) {
        assert_int_equal(write(to, bytes, (size_t)got), got);
    }
    close(from);
    close(to);
}

/* Needs root, to make a program that runs for another group, which is as
 * secure; and a place for it where that is allowed. Its user stays root: nobody
 * else may be able to read the library, as where this is built below /root. */
static void a_set_user_id_program_obeys_nothing(void **state)
{
    (void)state;
    char folder[] = "/tmp/ptm-secure-XXXXXX";
    if (geteuid() != 0 || mkdtemp(folder) == NULL) {
        skip();
    }
    char path[sizeof folder + 8];
    snprintf(path, sizeof path, "%s/probe", folder);
    copy_this_program(path);
    int prepared = chmod(folder, 0755) == 0 &&
                   chown(path, 0, SECURE_IDENTITY) == 0 &&
                   chmod(path, 02755) == 0;
    struct inquiry inquiry = {
        .program = path,
        .setting = "PTM_OPTIONS=mmap_threshold=65536,foo=1",
        .question = "secure_is_mapped",
        .argument = "70000",
    };
    struct reply reply = ask(&inquiry);
    inquiry.setting = "MALLOC_MMAP_THRESHOLD_=65536";
    struct reply second = ask(&inquiry);
    unlink(path);
    rmdir(folder);
    if (!prepared || reply.status == NOT_SECURE) {
        skip();
    }
    assert_string_equal(reply.warnings, "");
    assert_int_equal(reply.status, 0);
    assert_string_equal(second.warnings, "");
    assert_int_equal(second.status, 0);
}

/* The question of the set-user-ID program; it must know that it is one. */
static int answer_securely(const char *argument)
{
    return getauxval(AT_SECURE) != 0 ? is_mapped(argument) : NOT_SECURE;
}

int main(int argc, char **argv)
{
    errno_at_start = errno;
    if (argc == 4 && strcmp(argv[1], "probe") == 0) {
        return strcmp(argv[2], "secure_is_mapped") == 0
                   ? answer_securely(argv[3])
                   : answer(argv[2], argv[3]);
    }
    const struct CMUnitTest tests[] = {
        api_test(without_options_the_defaults_hold),
        api_test(every_option_takes_effect),
        api_test(tcache_max_limits_what_is_cached),
        api_test(run_max_limits_what_runs_serve),
        api_test(tcache_max_limits_what_is_rounded),
        api_test(mapped_cache_limits_what_is_kept),
        api_test(numbers_may_be_hexadecimal_or_have_a_unit),
        api_test(several_options_take_effect_together),
        api_test(the_variables_of_glibc_take_effect),
        api_test(unknown_options_are_named),
        api_test(bad_values_are_named),
        api_test(the_rest_of_the_list_is_obeyed),
        api_test(reading_options_leaves_errno_alone),
        api_test(a_set_user_id_program_obeys_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
