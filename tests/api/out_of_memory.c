/*
 * Out of memory, at every entry point: NULL and ENOMEM, for sizes that no
 * object can have and when the kernel has nothing left; and all is well again
 * when it has.
 */
#include "api.h"

/* Every function that gives memory, as a function of the size alone. */
static void *with_malloc(size_t size)
{
    return malloc(size);
}

static void *with_calloc(size_t size)
{
    return calloc(1, size);
}

static void *with_calloc_of_bytes(size_t size)
{
    return calloc(size, 1);
}

static void *with_realloc(size_t size)
{
    return realloc(NULL, size);
}

static void *with_reallocarray(size_t size)
{
    return reallocarray(NULL, 1, size);
}

static void *with_aligned_alloc(size_t size)
{
    return aligned_alloc(64, size);
}

static void *with_least_aligned_alloc(size_t size)
{
    return aligned_alloc(1, size);
}

static void *with_memalign(size_t size)
{
    return memalign(4096, size);
}

static void *with_least_memalign(size_t size)
{
    return memalign((size_t)opaque(NULL), size);
}

static void *with_posix_memalign(size_t size)
{
    void *block = NULL;
    errno = posix_memalign(&block, 64, size);
    return block;
}

static void *with_valloc(size_t size)
{
    return valloc(size);
}

static void *with_pvalloc(size_t size)
{
    return pvalloc(size);
}

static void *(*const givers[])(size_t) = {
    with_malloc,         with_calloc,         with_calloc_of_bytes,
    with_realloc,        with_reallocarray,   with_aligned_alloc,
    with_memalign,       with_least_memalign, with_least_aligned_alloc,
    with_posix_memalign, with_valloc,         with_pvalloc,
};

static void no_object_is_larger_than_ptrdiff_max(void **state)
{
    (void)state;
    for (unsigned i = 0; i < count_of(givers); i++) {
        for (unsigned k = 0; k < count_of(impossible_sizes); k++) {
            errno = 0;
            assert_null(opaque(givers[i](impossible_sizes[k])));
            assert_int_equal(errno, ENOMEM);
        }
    }
}

/* Such a size is refused by the allocator itself: the kernel is not asked. */
static void the_kernel_is_not_asked_for_what_cannot_be(void **state)
{
    (void)state;
    static const struct faulty_plan count_only = {.kinds = FAULTY_ALL};
    faulty_use(&count_only);
    for (unsigned i = 0; i < count_of(givers); i++) {
        assert_null(opaque(givers[i]((size_t)PTRDIFF_MAX + 1)));
    }
    unsigned long calls = faulty_calls_counted();
    faulty_use(NULL);
    assert_int_equal(calls, 0);
}

static void more_than_the_address_space_is_out_of_memory(void **state)
{
    (void)state;
    static const size_t sizes[] = {PTRDIFF_MAX, PTRDIFF_MAX - 16,
                                   PTRDIFF_MAX - 4096, 1UL << 62, 1UL << 56};
    for (unsigned i = 0; i < count_of(givers); i++) {
        for (unsigned k = 0; k < count_of(sizes); k++) {
            errno = 0;
            assert_null(opaque(givers[i](sizes[k])));
            assert_int_equal(errno, ENOMEM);
        }
    }
}

static void a_refusing_kernel_is_out_of_memory(void **state)
{
    (void)state;
    static const size_t sizes[] = {40UL << 20, 64UL << 20, 300UL << 20};
    for (unsigned i = 0; i < count_of(givers); i++) {
        for (unsigned k = 0; k < count_of(sizes); k++) {
            faulty_use(&no_memory);
            errno = 0;
            void *block = givers[i](sizes[k]);
            int error = errno;
            faulty_use(NULL);
            assert_null(block);
            assert_int_equal(error, ENOMEM);
        }
        assert_int_equal(ptm_check(), 0);
        void *block = givers[i](40UL << 20);
        assert_non_null(block);
        free(block);
        malloc_trim(0); /* it would be given again */
    }
}

/* Small blocks until the heap is full and cannot grow. */
static void a_heap_that_cannot_grow_is_out_of_memory(void **state)
{
    (void)state;
    struct block {
        struct block *next;
    };
    struct block *blocks = NULL;
    struct block *block;
    faulty_use(&no_memory);
    errno = 0;
    while ((block = malloc(1000)) != NULL) {
        block->next = blocks;
        blocks = block;
    }
    int error = errno;
    faulty_use(NULL);
    assert_int_equal(error, ENOMEM);
    assert_int_equal(ptm_check(), 0);
    block = malloc(1000);
    assert_non_null(block);
    free(block);
    while (blocks != NULL) {
        block = blocks;
        blocks = block->next;
        free(block);
    }
}

/* What caches and depots hold is merged before a request is given up. The last
 * blocks of a full heap lie side by side. */
static void freed_blocks_make_room_for_a_large_one(void **state)
{
    (void)state;
    enum { BLOCKS = 100000, FREED = 300 };
    static void *blocks[BLOCKS];
    int count = 0;
    faulty_use(&no_memory);
    while (count < BLOCKS && (blocks[count] = malloc(1000)) != NULL) {
        count++;
    }
    void *too_much = malloc(HEAP_BLOCK);
    for (int i = 0; i < FREED && count > 0; i++) {
        free(blocks[--count]);
    }
    void *large = malloc(HEAP_BLOCK);
    faulty_use(NULL);
    assert_null(too_much);
    assert_non_null(large);
    free(large);
    while (count > 0) {
        free(blocks[--count]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(no_object_is_larger_than_ptrdiff_max),
        api_test(the_kernel_is_not_asked_for_what_cannot_be),
        api_test(more_than_the_address_space_is_out_of_memory),
        api_test(a_refusing_kernel_is_out_of_memory),
        api_test(a_heap_that_cannot_grow_is_out_of_memory),
        api_test(freed_blocks_make_room_for_a_large_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
