/*
 * free_sized and free_aligned_sized of C23: they forward to free. The sizes
 * are the caller's word, which is neither needed nor checked.
 */
#include "api.h"

static void they_free(void **state)
{
    (void)state;
    void *guard = malloc(100);
    size_t in_use = settled_use();
    free_sized(malloc(HEAP_BLOCK), HEAP_BLOCK);
    assert_int_equal(settled_use(), in_use);
    free_sized(calloc(10, HEAP_BLOCK / 10), HEAP_BLOCK);
    assert_int_equal(settled_use(), in_use);
    free_aligned_sized(aligned_alloc(64, HEAP_BLOCK), 64, HEAP_BLOCK);
    assert_int_equal(settled_use(), in_use);
    size_t mappings = mallinfo2().hblks;
    free_sized(malloc(MAPPED_BLOCK), MAPPED_BLOCK);
    free_aligned_sized(aligned_alloc(4096, MAPPED_BLOCK), 4096, MAPPED_BLOCK);
    assert_int_equal(mallinfo2().hblks, mappings);
    free(guard);
}

static void wrong_sizes_are_not_looked_at(void **state)
{
    (void)state;
    static const size_t wrong[] = {0, 1, 24, 100, 4096, HEAP_BLOCK, SIZE_MAX};
    void *guard = malloc(100);
    size_t in_use = settled_use();
    for (unsigned i = 0; i < count_of(wrong); i++) {
        free_sized(opaque(malloc(HEAP_BLOCK)), wrong[i]);
        free_aligned_sized(opaque(malloc(HEAP_BLOCK)), wrong[i], wrong[i]);
        assert_int_equal(settled_use(), in_use);
    }
    free(guard);
}

static void they_keep_errno(void **state)
{
    (void)state;
    void *block = malloc(MAPPED_BLOCK);
    void *aligned = aligned_alloc(4096, MAPPED_BLOCK);
    errno = 1234;
    free_sized(block, MAPPED_BLOCK);
    free_aligned_sized(aligned, 4096, MAPPED_BLOCK);
    assert_int_equal(errno, 1234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(they_free),
        api_test(wrong_sizes_are_not_looked_at),
        api_test(they_keep_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
