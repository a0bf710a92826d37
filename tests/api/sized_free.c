/*
 * free_sized and free_aligned_sized of C23: they forward to free. The size is
 * that which was asked for, or any up to what malloc_usable_size tells
 * (tests/misuse has others). The alignment is not looked at.
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

static void sizes_up_to_the_usable_one_are_accepted(void **state)
{
    (void)state;
    for (size_t size = 0; size < 5000; size += 17) {
        void *block = malloc(size);
        free_sized(block, malloc_usable_size(block));
        free_sized(opaque(malloc(size)), size);
        free_aligned_sized(opaque(aligned_alloc(64, size)), 64, size);
        block = realloc(malloc(size), size / 3 * 2 + 1);
        free_sized(block, size / 3 * 2 + 1);
        block = realloc(malloc(size), size + size / 8 + 1);
        free_sized(block, size + size / 8 + 1);
    }
    free_sized(NULL, 100);
    free_aligned_sized(NULL, 16, 100);
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
        api_test(sizes_up_to_the_usable_one_are_accepted),
        api_test(they_keep_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
