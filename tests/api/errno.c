/*
 * errno is 0 when main begins, though the allocator has been started, has
 * read its options and has served the loader and the constructors by then.
 */
#include "api.h"

static int errno_at_start;

__attribute__((constructor)) static void allocate_before_main(void)
{
    void *volatile small = malloc(100);
    void *volatile large = malloc(MAPPED_BLOCK);
    void *volatile aligned = memalign(4096, 100);
    small = realloc(small, HEAP_BLOCK);
    free(aligned);
    free(large);
    free(small);
}

static void it_is_zero_at_the_start_of_main(void **state)
{
    (void)state;
    assert_int_equal(errno_at_start, 0);
}

int main(void)
{
    errno_at_start = errno;
    const struct CMUnitTest tests[] = {
        api_test(it_is_zero_at_the_start_of_main),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
