/*
 * profile.c - profiles as a program asks for them: every function of the family
 * is seen, and so is what it gives up. The file is read by tests/cli/pprof.py,
 * which shares nothing with the writer.
 */
#include "api.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

enum { COUNT = 2000, SIZE = 200, MEAN = 100 };

static char path[] = "/tmp/ptm_api_profile_XXXXXX";
static void *blocks[COUNT];

struct values {
    double allocations, allocated, count, live, pinned;
};

/* Of a function of this program, by its name. */
static struct values values_of(const char *function)
{
    struct values values = {0};
    char line[512], name[256];
    assert_int_equal(ptm_profile_dump(path), 0);
    snprintf(line, sizeof line, "/usr/bin/python3 %s %s", PPROF_READER, path);
    FILE *reader = popen(line, "r");
    assert_non_null(reader);
    while (fgets(line, sizeof line, reader) != NULL) {
        struct values own;
        if (sscanf(line, "%255s %lf %lf %lf %lf %lf", name, &own.allocations,
                   &own.allocated, &own.count, &own.live, &own.pinned) == 6 &&
            strcmp(name, function) == 0) {
            values = own;
        }
    }
    assert_int_equal(pclose(reader), 0);
    return values;
}

/* A block of 200 bytes is picked with a chance of 0.86 at a mean of 100: the
 * sum over 2000 has a standard deviation of less than 1 %. */
static void assert_about(double value, double truth)
{
    if (value < 0.95 * truth || value > 1.05 * truth) {
        fail_msg("%g is not about %g", value, truth);
    }
}

/* Functions that are told apart by their names; the assignment keeps their
 * calls from becoming jumps. */
#define BY(name, expression)                                                   \
    __attribute__((noinline)) static void name(void)                           \
    {                                                                          \
        for (int i = 0; i < COUNT; i++) {                                      \
            blocks[i] = (expression);                                          \
            assert_non_null(blocks[i]);                                        \
        }                                                                      \
    }

static void *by_posix(size_t alignment)
{
    void *mem = NULL;
    return posix_memalign(&mem, alignment, SIZE) == 0 ? mem : NULL;
}

BY(by_malloc, malloc(SIZE))
BY(by_calloc, calloc(SIZE / 8, 8))
BY(by_realloc, realloc(NULL, SIZE))
BY(by_memalign, memalign(64, SIZE))
BY(by_posix_memalign, by_posix(32))
BY(by_valloc, valloc(SIZE))
BY(by_growth, realloc(malloc(8), SIZE))

static void every_function_is_seen(void **state)
{
    static const struct {
        const char *name;
        void (*make)(void);
    } makers[] = {
        {"by_malloc", by_malloc},
        {"by_calloc", by_calloc},
        {"by_realloc", by_realloc},
        {"by_memalign", by_memalign},
        {"by_posix_memalign", by_posix_memalign},
        {"by_valloc", by_valloc},
    };
    (void)state;
    assert_int_equal(ptm_profile_start(MEAN), 0);
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        makers[i].make();
        struct values values = values_of(makers[i].name);
        assert_about(values.allocations, COUNT);
        assert_about(values.live, COUNT * SIZE);
        for (int k = 0; k < COUNT; k++) {
            free(blocks[k]);
        }
        values = values_of(makers[i].name);
        assert_about(values.allocated, COUNT * SIZE);
        assert_true(values.live == 0 && values.count == 0);
    }
    ptm_profile_stop();
}

/* A block that was resized is what it is now, and was both. */
static void realloc_is_free_and_malloc(void **state)
{
    (void)state;
    assert_int_equal(ptm_profile_start(MEAN), 0);
    by_growth();
    struct values values = values_of("by_growth");
    assert_about(values.live, COUNT * SIZE);
    assert_true(values.allocated > values.live);
    for (int i = 0; i < COUNT; i++) {
        assert_null(realloc(blocks[i], 0));
    }
    assert_true(values_of("by_growth").live == 0);
    ptm_profile_stop();
}

/* One that is mapped grows in place, and is known by its size then. */
static void large_blocks_grow(void **state)
{
    (void)state;
    assert_int_equal(ptm_profile_start(MEAN), 0);
    char *mem = malloc(1 << 20);
    mem = realloc(mem, 64 << 20);
    assert_non_null(mem);
    assert_true(values_of("large_blocks_grow").live == 64 << 20);
    free(mem);
    assert_true(values_of("large_blocks_grow").live == 0);
    ptm_profile_stop();
}

static void *free_all(void *unused)
{
    (void)unused;
    for (int i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
    return NULL;
}

static void other_threads_free(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(ptm_profile_start(MEAN), 0);
    by_malloc();
    assert_int_equal(pthread_create(&thread, NULL, free_all, NULL), 0);
    pthread_join(thread, NULL);
    assert_true(values_of("by_malloc").live == 0);
    ptm_profile_stop();
}

static void after_the_stop_nothing_is_added(void **state)
{
    (void)state;
    assert_int_equal(ptm_profile_start(0), 0);
    ptm_profile_stop();
    double before = values_of("by_malloc").allocations;
    by_malloc();
    assert_true(values_of("by_malloc").allocations == before);
    free_all(NULL);
}

static void the_option_starts_and_stops_it(void **state)
{
    (void)state;
    double before = values_of("by_malloc").allocated;
    assert_int_equal(ptm_option_set("profile", MEAN), 0);
    by_malloc();
    assert_int_equal(ptm_option_set("profile", 0), 0);
    assert_about(values_of("by_malloc").allocated - before, COUNT * SIZE);
    free_all(NULL);
    assert_true(values_of("by_malloc").live == 0);
}

static void a_file_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    errno = 7;
    assert_int_equal(ptm_profile_dump("/no/such/folder"), ENOENT);
    assert_int_equal(ptm_profile_dump("/dev/full"), ENOSPC);
    assert_int_equal(errno, 7);
}

static void go_on_in_child(void)
{
    by_malloc();
    free_all(NULL);
    assert_int_equal(ptm_profile_dump(path), 0);
    _exit(ptm_check() == 0 ? 0 : 1);
}

static void a_child_has_it_too(void **state)
{
    int status = -1;
    (void)state;
    assert_int_equal(ptm_profile_start(MEAN), 0);
    by_malloc();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        go_on_in_child();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_about(values_of("by_malloc").live, COUNT * SIZE);
    free_all(NULL);
    ptm_profile_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(every_function_is_seen),
        api_test(realloc_is_free_and_malloc),
        api_test(large_blocks_grow),
        api_test(other_threads_free),
        api_test(after_the_stop_nothing_is_added),
        api_test(the_option_starts_and_stops_it),
        api_test(a_file_that_cannot_be_written_is_told),
        api_test(a_child_has_it_too),
    };
    close(mkstemp(path));
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failures;
}
