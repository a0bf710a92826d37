/*
 * child.c - see child.h.
 */
#include "child.h"

#include "unit.h"

#include <sys/resource.h>

/* cmocka catches what is fatal, in order to go on with the next test. */
static void die_of_signals_again(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
    for (size_t i = 0; i < count_of(fatal); i++) {
        signal(fatal[i], SIG_DFL);
    }
}

static _Noreturn void be_the_child(child_body *body, void *argument, int words)
{
    const struct rlimit none = {0, 0};
    die_of_signals_again();
    setrlimit(RLIMIT_CORE, &none);
    dup2(words, STDERR_FILENO);
    close(words);
    trial_watch();
    body(argument);
    _exit(0);
}

/* What is more than there is room for is read, and lost. */
static void read_all(int from, char *text, size_t capacity)
{
    char rest[512];
    size_t length = 0;
    for (;;) {
        size_t room = capacity - 1 - length;
        ssize_t got = room > 0 ? read(from, text + length, room)
                               : read(from, rest, sizeof rest);
        if (got == 0) {
            break;
        }
        MUST(got > 0 || errno == EINTR);
        length += got > 0 && room > 0 ? (size_t)got : 0;
    }
    text[length] = '\0';
}

struct ending child_run(child_body *body, void *argument)
{
    struct ending ending;
    int ends[2];
    MUST(pipe(ends) == 0);
    fflush(NULL);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        close(ends[0]);
        be_the_child(body, argument, ends[1]);
    }
    close(ends[1]);
    read_all(ends[0], ending.words, sizeof ending.words);
    close(ends[0]);
    while (waitpid(child, &ending.status, 0) != child) {
        MUST(errno == EINTR);
    }
    return ending;
}

void child_must_succeed(child_body *body, void *argument)
{
    struct ending ending = child_run(body, argument);
    if (ending.status != 0) {
        print_error("the child ended with status 0x%x: %s\n", ending.status,
                    ending.words);
    }
    assert_int_equal(ending.status, 0);
}

void child_play(void **state)
{
    const struct child_scene *scene = *state;
    child_must_succeed(scene->play, NULL);
}

static void must_be_aborted(const struct ending *ending)
{
    if (!WIFSIGNALED(ending->status)) {
        print_error("the child was not aborted, and said: %s\n", ending->words);
    }
    assert_true(WIFSIGNALED(ending->status));
    assert_int_equal(WTERMSIG(ending->status), SIGABRT);
}

void child_must_abort(child_body *body, void *argument, const char *format, ...)
{
    char expected[512];
    va_list list;
    va_start(list, format);
    vsnprintf(expected, sizeof expected - 1, format, list);
    va_end(list);
    strcat(expected, "\n");
    struct ending ending = child_run(body, argument);
    assert_string_equal(ending.words, expected);
    must_be_aborted(&ending);
}

void child_must_fail_assertion(child_body *body, void *argument,
                               const char *condition)
{
    char expected[512];
    struct ending ending = child_run(body, argument);
    int length = snprintf(expected, sizeof expected,
                          "ptm: assertion failed: %s at ", condition);
    must_be_aborted(&ending);
    assert_memory_equal(ending.words, expected, (size_t)length);
    assert_ptr_equal(strchr(ending.words, '\n'),
                     ending.words + strlen(ending.words) - 1);
}
