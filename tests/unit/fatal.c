/*
 * fatal.c - messages, and the last line of a program.
 */
#include "fatal.h"

#include "unit.h"

#include "child.h"

static void must_read(const struct message *message, const char *text)
{
    assert_int_equal(message->length, strlen(text));
    assert_memory_equal(message->text, text, message->length);
}

static void numbers_are_written_in_full(void **state)
{
    struct message message;
    (void)state;
    message_start(&message);
    message_number(&message, 0);
    message_text(&message, " ");
    message_number(&message, 1234567890);
    message_text(&message, " ");
    message_number(&message, SIZE_MAX);
    message_text(&message, " ");
    message_hex(&message, 0);
    message_text(&message, " ");
    message_hex(&message, 0xabcdef0123456789);
    message_bytes(&message, "! and what is not asked for", 1);
    must_read(&message, "0 1234567890 18446744073709551615 0x0 "
                        "0xabcdef0123456789!");
    message_start(&message);
    must_read(&message, "");
}

static void write_too_much(void *unused)
{
    struct message message;
    (void)unused;
    message_start(&message);
    for (int i = 0; i < 100; i++) {
        message_text(&message, "1234567");
    }
    message_number(&message, SIZE_MAX);
    message_write(&message);
}

/* The end of the line is kept whatever is cut off before it. */
static void what_does_not_fit_is_cut_off(void **state)
{
    (void)state;
    struct ending ending = child_run(write_too_much, NULL);
    assert_int_equal(ending.status, 0);
    assert_int_equal(strlen(ending.words),
                     sizeof((struct message *)NULL)->text);
    assert_ptr_equal(strchr(ending.words, '\n'), ending.words + 255);
    assert_memory_equal(ending.words + 245, "1234567123", 10);
}

static void commit(void *crime)
{
    fatal_crime(crime);
}

static void a_crime_is_one_line(void **state)
{
    static const struct {
        struct crime crime;
        const char *line;
    } cases[] = {
        {{.where = where_free,
          .what = "misaligned pointer",
          .address = (void *)0x7f01},
         "ptm: free(): misaligned pointer: address 0x7f01"},
        {{.where = where_realloc,
          .what = "not a block of malloc",
          .address = NULL,
          .arena = 3},
         "ptm: realloc(): not a block of malloc: address 0x0, arena 3"},
        {{.where = where_free,
          .what = "double free",
          .address = (void *)0x10,
          .size = 24,
          .arena = 254},
         "ptm: free(): double free: address 0x10, size 24, arena 254"},
        {{.where = where_usable_size,
          .what = "destroyed size word",
          .address = (void *)0x7fffffffff10,
          .word = 0,
          .has_word = true,
          .arena = 1},
         "ptm: malloc_usable_size(): destroyed size word: "
         "address 0x7fffffffff10, word 0x0, arena 1"},
        {{.where = "heap",
          .what = "destroyed footer",
          .address = (void *)0x20,
          .word = SIZE_MAX,
          .size = 56,
          .has_word = true},
         "ptm: heap: destroyed footer: address 0x20, "
         "word 0xffffffffffffffff, size 56"},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        struct crime crime = cases[i].crime;
        child_must_abort(commit, &crime, "%s", cases[i].line);
    }
}

static void assert_that_holds(void *unused)
{
    (void)unused;
    ptm_assert(1 + 1 == 2);
}

static void assert_that_fails(void *unused)
{
    (void)unused;
    ptm_assert(1 + 1 == 3);
}

static void assertions_are_checked_in_this_build(void **state)
{
    (void)state;
    child_must_succeed(assert_that_holds, NULL);
    child_must_fail_assertion(assert_that_fails, NULL, "1 + 1 == 3");
}

static void commit_without_stderr(void *crime)
{
    close(STDERR_FILENO);
    fatal_crime(crime);
}

static void without_stderr_the_end_is_the_same(void **state)
{
    struct crime crime = {.where = where_free, .what = "double free"};
    (void)state;
    struct ending ending = child_run(commit_without_stderr, &crime);
    assert_true(WIFSIGNALED(ending.status));
    assert_int_equal(WTERMSIG(ending.status), SIGABRT);
    assert_string_equal(ending.words, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written_in_full),
        cmocka_unit_test(what_does_not_fit_is_cut_off),
        cmocka_unit_test(a_crime_is_one_line),
        cmocka_unit_test(assertions_are_checked_in_this_build),
        cmocka_unit_test(without_stderr_the_end_is_the_same),
    };
    return UNIT_RUN(tests);
}
