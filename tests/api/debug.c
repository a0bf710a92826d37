/*
 * mtrace, mcheck and the hooks of old: what they tell, and that the last are
 * asleep unless the option malloc_hooks is set, which the word "hooked" says.
 */
#include "api.h"

#include <fcntl.h>
#include <mcheck.h>
#include <stdio.h>
#include <sys/wait.h>

extern void *(*volatile __malloc_hook)(size_t size, const void *caller);
extern void (*volatile __free_hook)(void *memory, const void *caller);
extern void *(*volatile __realloc_hook)(void *memory, size_t size,
                                        const void *caller);
extern void *(*volatile __memalign_hook)(size_t alignment, size_t size,
                                         const void *caller);

static bool hooks_are_heeded;

/* ---- mtrace ---- */

static char trace[8192];

static void read_trace(const char *path)
{
    int file = open(path, O_RDONLY);
    ssize_t length = read(file, trace, sizeof trace - 1);
    assert_true(length > 0);
    trace[length] = '\0';
    close(file);
    unlink(path);
}

/* The text of the next line behind *at that ends so, whatever its place. */
static const char *expect_line(const char *at, const char *format, void *memory,
                               unsigned long size)
{
    char ending[100], line[500];
    size_t length = strcspn(at, "\n");
    snprintf(ending, sizeof ending, format, memory, size);
    snprintf(line, sizeof line, "%.*s", (int)length, at);
    size_t place = length - strlen(ending);
    if (strlen(ending) > length || strcmp(line + place, ending) != 0 ||
        strncmp(line, "@ ", 2) != 0 || line[place - 2] != ']') {
        fail_msg("line '%s' does not end with '%s'", line, ending);
    }
    return at + length + 1;
}

static void a_trace_has_every_call(void **state)
{
    (void)state;
    char path[] = "/tmp/ptm-trace-XXXXXX";
    close(mkstemp(path));
    setenv("MALLOC_TRACE", path, 1);
    mtrace();
    void *a = opaque(malloc(100));
    void *b = opaque(calloc(3, 5));
    void *c = opaque(realloc(a, 5000));
    void *d = opaque(aligned_alloc(64, 200));
    void *e = opaque(realloc(NULL, 10));
    void *failed = opaque(realloc(e, PTRDIFF_MAX));
    void *gone = opaque(realloc(e, 0));
    free(b);
    free(NULL);
    free(c);
    muntrace();
    free(d);
    assert_null(failed);
    assert_null(gone);
    read_trace(path);
    const char *at = trace;
    assert_memory_equal(at, "= Start\n", 8);
    at = expect_line(at + 8, "+ %p %#lx", a, 100);
    at = expect_line(at, "+ %p %#lx", b, 15);
    at = expect_line(at, "< %p", a, 0);
    at = expect_line(at, "> %p %#lx", c, 5000);
    at = expect_line(at, "+ %p %#lx", d, 200);
    at = expect_line(at, "+ %p %#lx", e, 10);
    at = expect_line(at, "! %p %#lx", e, PTRDIFF_MAX);
    at = expect_line(at, "- %p", e, 0);
    at = expect_line(at, "- %p", b, 0);
    at = expect_line(at, "- %p", c, 0);
    assert_string_equal(at, "= End\n");
}

static void without_a_file_nothing_is_traced(void **state)
{
    (void)state;
    unsetenv("MALLOC_TRACE");
    mtrace();
    free(opaque(malloc(10)));
    muntrace();
    setenv("MALLOC_TRACE", "/no/such/folder/file", 1);
    mtrace();
    free(opaque(malloc(10)));
    muntrace();
    unsetenv("MALLOC_TRACE");
}

/* ---- mcheck ---- */

static enum mcheck_status told;
static unsigned times;

static void take_note(enum mcheck_status status)
{
    told = status;
    times++;
}

static void a_block_can_be_probed(void **state)
{
    (void)state;
    char *block = malloc(100);
    memset(opaque(block), 1, 100);
    assert_int_equal(mprobe(block), MCHECK_DISABLED);
    assert_int_equal(mcheck(take_note), 0);
    assert_int_equal(mprobe(block), MCHECK_OK);
    assert_int_equal(times, 0);
    assert_int_equal(mprobe(block + 32), MCHECK_HEAD);
    assert_int_equal(told, MCHECK_HEAD);
    free(block);
    assert_int_equal(mprobe(opaque(block)), MCHECK_FREE);
    assert_int_equal(told, MCHECK_FREE);
    assert_int_equal(times, 2);
    void *empty = malloc(0);
    assert_int_equal(mprobe(empty), MCHECK_OK);
    assert_int_equal(mprobe((char *)empty + 8), MCHECK_HEAD);
    free(empty);
    assert_int_not_equal(mprobe(opaque(empty)), MCHECK_OK);
    times = 2;
    mcheck_check_all();
    assert_int_equal(times, 2);
}

/* The overwritten header is met at the very next call, whatever that is. */
static void pedantry_meets_damage_at_once(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        close(2);
        uint64_t *block = malloc(100);
        times = 0;
        mcheck_pedantic(take_note);
        free(opaque(malloc(10)));
        if (times == 0) {
            ((uint64_t *)opaque(block))[-1] ^= 0x10;
            free(opaque(malloc(10)));
        }
        _exit(times > 0 && told == MCHECK_HEAD ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- __malloc_hook ---- */

static unsigned mallocs, frees, reallocs, memaligns;

static void *count_malloc(size_t size, const void *caller)
{
    (void)caller;
    mallocs++;
    return malloc(size);
}

static void count_free(void *memory, const void *caller)
{
    (void)caller;
    frees++;
    free(memory);
}

static void *count_realloc(void *memory, size_t size, const void *caller)
{
    (void)caller;
    reallocs++;
    return realloc(memory, size);
}

static void *count_memalign(size_t alignment, size_t size, const void *caller)
{
    (void)caller;
    memaligns++;
    return memalign(alignment, size);
}

static void the_hooks_of_old_are_heeded_only_when_asked_for(void **state)
{
    (void)state;
    free(opaque(malloc(10)));
    __malloc_hook = count_malloc;
    __free_hook = count_free;
    __realloc_hook = count_realloc;
    __memalign_hook = count_memalign;
    void *block = opaque(malloc(100));
    block = opaque(realloc(block, 200));
    free(block);
    free(opaque(memalign(64, 10)));
    __malloc_hook = NULL;
    __free_hook = NULL;
    __realloc_hook = NULL;
    __memalign_hook = NULL;
    unsigned each = hooks_are_heeded ? 1 : 0;
    assert_int_equal(mallocs, each);
    assert_int_equal(reallocs, each);
    assert_int_equal(memaligns, each);
    assert_int_equal(frees, 2 * each);
    free(opaque(malloc(10)));
    assert_int_equal(mallocs, each);
}

int main(int argc, char **argv)
{
    hooks_are_heeded = argc == 2 && strcmp(argv[1], "hooked") == 0;
    const struct CMUnitTest tests[] = {
        api_test(the_hooks_of_old_are_heeded_only_when_asked_for),
        api_test(a_trace_has_every_call),
        api_test(without_a_file_nothing_is_traced),
        api_test(a_block_can_be_probed),
        api_test(pedantry_meets_damage_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
