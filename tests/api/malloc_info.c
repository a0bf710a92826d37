/*
 * malloc_info: writes its document to any stream, also to one that allocates
 * while it is written to, and to none when it does not know the options.
 *
 * With the argument "print" the program makes a heap that has something of
 * everything, prints the document and then a line of mallinfo2's numbers:
 * malloc_info_xml.py judges them.
 */
#include "api.h"

#include <stdio.h>

#include "contention.h"

static void unknown_options_are_refused(void **state)
{
    (void)state;
    static const int options[] = {1, 2, -1, INT32_MAX, INT32_MIN};
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    for (unsigned i = 0; i < count_of(options); i++) {
        errno = 1234;
        assert_int_equal(malloc_info(options[i], stream), EINVAL);
        assert_int_equal(errno, 1234);
    }
    fclose(stream);
    assert_int_equal(length, 0);
    free(text);
}

static void a_stream_that_allocates_gets_the_whole_document(void **state)
{
    (void)state;
    /* So many sizes that the stream has to grow several times. */
    enum { BLOCKS = 1000 };
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(i * 48);
    }
    for (int i = 0; i < BLOCKS; i += 2) {
        free(blocks[i]);
    }
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    assert_int_equal(malloc_info(0, stream), 0);
    fclose(stream);
    assert_true(length > 1000);
    assert_memory_equal(text, "<malloc version=\"1\">", 20);
    assert_string_equal(text + length - 10, "</malloc>\n");
    free(text);
    for (int i = 1; i < BLOCKS; i += 2) {
        free(blocks[i]);
    }
}

/* Each character goes through the FILE by itself, and each write fails. */
static void a_full_device_does_no_harm(void **state)
{
    (void)state;
    FILE *stream = fopen("/dev/full", "w");
    if (stream == NULL) {
        skip();
    }
    setvbuf(stream, NULL, _IONBF, 0);
    malloc_info(0, stream);
    fclose(stream);
}

static int print_a_rich_heap(void)
{
    enum { BLOCKS = 600 };
    static void *blocks[BLOCKS];
    static char buffer[1 << 20];
    arenas_after_contention(PATIENCE_OF_TESTS);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(i * 53 % 20000);
    }
    for (int i = 0; i < BLOCKS; i += 2) {
        free(blocks[i]);
    }
    static void *small[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        small[i] = malloc(48);
    }
    for (int i = 0; i < BLOCKS; i += 2) {
        free(small[i]);
    }
    void *mapped[3];
    for (int i = 0; i < 3; i++) {
        mapped[i] = malloc(MAPPED_BLOCK);
    }
    free(mapped[1]);
    settle();
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    if (malloc_info(0, stdout) != 0) {
        return 1;
    }
    struct mallinfo2 info = mallinfo2();
    printf("arena=%zu fordblks=%zu ordblks=%zu hblks=%zu hblkhd=%zu "
           "smblks=%zu fsmblks=%zu runs=%d\n",
           info.arena, info.fordblks, info.ordblks, info.hblks, info.hblkhd,
           info.smblks, info.fsmblks, runs_are_on());
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "print") == 0) {
        return print_a_rich_heap();
    }
    const struct CMUnitTest tests[] = {
        api_test(unknown_options_are_refused),
        api_test(a_stream_that_allocates_gets_the_whole_document),
        api_test(a_full_device_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
