/*
 * free and malloc_usable_size: NULL is fine, memory really comes back, and
 * errno is as it was, even when the kernel refuses to take memory back.
 */
#include "api.h"

static void freeing_null_does_nothing(void **state)
{
    (void)state;
    struct mallinfo2 before = mallinfo2();
    free(NULL);
    cfree(NULL);
    free_sized(NULL, 0);
    free_sized(NULL, 100);
    free_aligned_sized(NULL, 64, 100);
    struct mallinfo2 after = mallinfo2();
    assert_memory_equal(&before, &after, sizeof before);
}

static void usable_size_of_null_is_zero(void **state)
{
    (void)state;
    assert_int_equal(malloc_usable_size(NULL), 0);
}

static void a_freed_block_is_not_in_use(void **state)
{
    (void)state;
    void *guard = malloc(100);
    size_t in_use = settled_use();
    void *block = malloc(HEAP_BLOCK);
    assert_true(settled_use() > in_use);
    free(block);
    assert_int_equal(settled_use(), in_use);
    block = malloc(HEAP_BLOCK);
    cfree(block);
    assert_int_equal(settled_use(), in_use);
    free(guard);
}

static void a_freed_mapping_is_unmapped(void **state)
{
    (void)state;
    char *block = malloc(MAPPED_BLOCK);
    memset(block, 1, MAPPED_BLOCK);
    assert_true(resident_pages(block, MAPPED_BLOCK) > 0);
    free(block);
    settle();
    assert_int_equal(resident_pages(block, MAPPED_BLOCK), 0);
}

/* Blocks of all kinds, among them enough at the top that freeing them gives
 * memory back to the kernel. */
static void free_keeps_errno(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 24, 1000, HEAP_BLOCK, MAPPED_BLOCK};
    for (unsigned i = 0; i < count_of(sizes); i++) {
        void *block = malloc(sizes[i]);
        errno = 1234;
        free(block);
        assert_int_equal(errno, 1234);
    }
    enum { BLOCKS = 300 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(HEAP_BLOCK);
        memset(blocks[i], 1, HEAP_BLOCK);
    }
    for (int i = 0; i < BLOCKS; i++) {
        errno = 1234;
        free(blocks[i]);
        assert_int_equal(errno, 1234);
    }
}

static void free_keeps_errno_when_unmapping_fails(void **state)
{
    (void)state;
    void *block = malloc(MAPPED_BLOCK);
    void *aligned = memalign(1 << 20, MAPPED_BLOCK);
    static const struct faulty_plan no_unmapping = {
        .kinds = FAULTY_MUNMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    faulty_use(&no_unmapping);
    errno = 1234;
    free(block);
    assert_int_equal(errno, 1234);
    free(aligned);
    assert_int_equal(errno, 1234);
    settle();
    unsigned long refused = faulty_calls_refused();
    faulty_use(NULL);
    assert_true(refused > 0);
}

static void free_keeps_errno_when_the_kernel_refuses_all(void **state)
{
    (void)state;
    enum { BLOCKS = 300 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(HEAP_BLOCK);
        memset(blocks[i], 1, HEAP_BLOCK);
    }
    faulty_use(&no_memory);
    errno = 1234;
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    int error = errno;
    faulty_use(NULL);
    assert_int_equal(error, 1234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(freeing_null_does_nothing),
        api_test(usable_size_of_null_is_zero),
        api_test(a_freed_block_is_not_in_use),
        api_test(a_freed_mapping_is_unmapped),
        api_test(free_keeps_errno),
        api_test(free_keeps_errno_when_unmapping_fails),
        api_test(free_keeps_errno_when_the_kernel_refuses_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
