/*
 * Arenas of the program's own: their blocks are blocks like any other, lie
 * apart from them, never exceed the limit, and go all at once.
 */
#include "api.h"

#include <pthread.h>

enum { MANY = 3000 };

/* Mixed sizes, a few large. */
static size_t size_of(unsigned i)
{
    return i % 100 == 0 ? 300000 : i * 7 % 2000;
}

static void blocks_hold_what_is_written(void **state)
{
    (void)state;
    static void *blocks[MANY];
    struct ptm_arena *arena = ptm_arena_create(0);
    assert_non_null(arena);
    for (unsigned i = 0; i < MANY; i++) {
        blocks[i] = ptm_arena_malloc(arena, size_of(i));
        assert_non_null(blocks[i]);
        assert_true(is_aligned(blocks[i], 16));
        assert_true(malloc_usable_size(blocks[i]) >= size_of(i));
        fill(blocks[i], size_of(i), i);
    }
    assert_int_equal(ptm_check(), 0);
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(holds(blocks[i], size_of(i), i));
        if (i % 2 == 0) {
            free(blocks[i]);
        }
    }
    assert_int_equal(ptm_check(), 0);
    ptm_arena_destroy(arena);
}

static void destroying_gives_everything_back(void **state)
{
    (void)state;
    size_t system = settled_info().arena;
    for (int round = 0; round < 60; round++) {
        struct ptm_arena *arena = ptm_arena_create(0);
        assert_non_null(arena);
        for (unsigned i = 0; i < 400; i++) {
            memset(opaque(ptm_arena_malloc(arena, size_of(i))), 1, size_of(i));
        }
        assert_true(ptm_arena_bytes(arena) > 400 * 1000);
        ptm_arena_destroy(arena);
        assert_int_equal(mallinfo2().arena, system);
    }
}

static void a_limit_is_kept(void **state)
{
    (void)state;
    static const size_t limits[] = {
        1, 4096, 5000, 65536, 1 << 20, 3000001, (size_t)100 << 20};
    for (unsigned i = 0; i < count_of(limits); i++) {
        struct ptm_arena *arena = ptm_arena_create(limits[i]);
        size_t got = 0;
        errno = 0;
        while (ptm_arena_malloc(arena, 1000) != NULL) {
            got += 1000;
            assert_true(ptm_arena_bytes(arena) <= limits[i]);
        }
        assert_int_equal(errno, ENOMEM);
        /* Most of it is to be had, but for the header of each heap. */
        size_t heaps = limits[i] / ((size_t)64 << 20) + 1;
        assert_true(got + 5 * got / 64 + heaps * 45000 >= limits[i]);
        /* What is freed can be had again. */
        ptm_arena_destroy(arena);
    }
    struct ptm_arena *arena = ptm_arena_create(1 << 20);
    void *block = ptm_arena_malloc(arena, 700000);
    assert_non_null(block);
    assert_null(ptm_arena_malloc(arena, 700000));
    free(block);
    assert_non_null(ptm_arena_malloc(arena, 700000));
    assert_non_null(malloc(1 << 20));
    ptm_arena_destroy(arena);
}

static void the_largest_block_is_below_63_mebibytes(void **state)
{
    (void)state;
    struct ptm_arena *arena = ptm_arena_create(0);
    void *block = ptm_arena_malloc(arena, ((size_t)63 << 20) - 1);
    assert_non_null(block);
    memset(block, 1, 100);
    static const size_t more[] = {(size_t)64 << 20, SIZE_MAX, PTRDIFF_MAX,
                                  SIZE_MAX - 4096};
    for (unsigned i = 0; i < count_of(more); i++) {
        errno = 0;
        assert_null(ptm_arena_malloc(arena, more[i]));
        assert_int_equal(errno, ENOMEM);
    }
    ptm_arena_destroy(arena);
}

static void alignments_are_kept(void **state)
{
    (void)state;
    struct ptm_arena *arena = ptm_arena_create(0);
    for (size_t alignment = 1; alignment <= 1 << 20; alignment *= 2) {
        void *block = ptm_arena_memalign(arena, alignment, 100);
        assert_non_null(block);
        assert_true(is_aligned(block, alignment));
    }
    errno = 0;
    assert_null(ptm_arena_memalign(arena, 24, 100));
    assert_int_equal(errno, EINVAL);
    assert_null(ptm_arena_memalign(arena, 0, 100));
    assert_null(ptm_arena_memalign(arena, (size_t)1 << 63, 100));
    ptm_arena_destroy(arena);
}

/* If a block had left the arena, its bytes would still be in use. */
static void realloc_stays_in_the_arena(void **state)
{
    (void)state;
    size_t in_use = settled_use();
    size_t mapped = mallinfo2().hblks;
    struct ptm_arena *arena = ptm_arena_create(0);
    char *blocks[20];
    for (int i = 0; i < 20; i++) {
        blocks[i] = ptm_arena_malloc(arena, 10);
        fill(blocks[i], 10, 5);
    }
    static const size_t sizes[] = {100, 40,      3000,    100000,
                                   20,  2000000, 1000000, 64};
    for (unsigned i = 0; i < count_of(sizes); i++) {
        for (int block = 0; block < 20; block++) {
            blocks[block] = realloc(blocks[block], sizes[i]);
            assert_non_null(blocks[block]);
            assert_true(holds(blocks[block], 10, 5));
        }
    }
    assert_int_equal(mallinfo2().hblks, mapped);
    ptm_arena_destroy(arena);
    assert_int_equal(settled_use(), in_use);
}

static void no_ordinary_block_comes_from_it(void **state)
{
    (void)state;
    struct ptm_arena *arena = ptm_arena_create(0);
    assert_non_null(ptm_arena_malloc(arena, 100));
    size_t bytes = ptm_arena_bytes(arena);
    void *blocks[100];
    for (unsigned i = 0; i < count_of(blocks); i++) {
        blocks[i] = malloc(HEAP_BLOCK);
    }
    assert_int_equal(ptm_arena_bytes(arena), bytes);
    ptm_arena_destroy(arena);
    for (unsigned i = 0; i < count_of(blocks); i++) {
        fill(blocks[i], HEAP_BLOCK, i);
        free(blocks[i]);
    }
}

static void only_so_many_can_be_had(void **state)
{
    (void)state;
    struct ptm_arena *arenas[128];
    for (unsigned i = 0; i < count_of(arenas); i++) {
        arenas[i] = ptm_arena_create(1 << 20);
        assert_non_null(arenas[i]);
    }
    errno = 0;
    assert_null(ptm_arena_create(1 << 20));
    assert_int_equal(errno, ENOMEM);
    for (unsigned i = 0; i < count_of(arenas); i++) {
        ptm_arena_destroy(arenas[i]);
    }
    arenas[0] = ptm_arena_create(0);
    assert_non_null(arenas[0]);
    ptm_arena_destroy(arenas[0]);
    ptm_arena_destroy(NULL);
}

/* Heaps that the kernel does not take back stay, empty, and serve the next. */
static void a_heap_that_stays_is_used_again(void **state)
{
    (void)state;
    struct ptm_arena *arena = ptm_arena_create(0);
    for (int i = 0; i < 50; i++) {
        memset(opaque(ptm_arena_malloc(arena, 3 << 20)), 1, 5000);
    }
    const struct faulty_plan plan = {
        .kinds = FAULTY_MUNMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    faulty_use(&plan);
    ptm_arena_destroy(arena);
    faulty_use(NULL);
    assert_int_equal(ptm_check(), 0);
    arena = ptm_arena_create((size_t)200 << 20);
    for (int i = 0; i < 50; i++) {
        char *block = ptm_arena_malloc(arena, 3 << 20);
        assert_non_null(block);
        fill(block, 5000, (unsigned)i);
        assert_true(holds(block, 5000, (unsigned)i));
    }
    assert_int_equal(ptm_check(), 0);
    ptm_arena_destroy(arena);
}

static void without_memory_there_is_none(void **state)
{
    (void)state;
    struct ptm_arena *arena = ptm_arena_create(0);
    faulty_use(&no_memory);
    void *block = ptm_arena_malloc(arena, 100);
    faulty_use(NULL);
    assert_null(block);
    assert_non_null(ptm_arena_malloc(arena, 100));
    ptm_arena_destroy(arena);
}

/* Threads that allocate from one arena, and free what others have. */
static struct ptm_arena *common;
static void *exchange[64];

static void *work(void *seed)
{
    unsigned next = (unsigned)(uintptr_t)seed;
    for (int i = 0; i < 20000; i++) {
        next = next * 1103515245 + 12345;
        size_t size = next >> 8 & 0x3ff;
        unsigned char *block = ptm_arena_malloc(common, size + 1);
        if (block == NULL) {
            return seed;
        }
        block[size] = (unsigned char)size;
        free(__atomic_exchange_n(&exchange[next >> 20 & 63], block,
                                 __ATOMIC_ACQ_REL));
    }
    return NULL;
}

static void threads_can_share_it(void **state)
{
    (void)state;
    pthread_t threads[4];
    common = ptm_arena_create(0);
    for (uintptr_t i = 0; i < count_of(threads); i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
    }
    for (unsigned i = 0; i < count_of(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(ptm_check(), 0);
    assert_true(ptm_arena_bytes(common) < 1 << 20);
    ptm_arena_destroy(common);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(blocks_hold_what_is_written),
        api_test(destroying_gives_everything_back),
        api_test(a_limit_is_kept),
        api_test(the_largest_block_is_below_63_mebibytes),
        api_test(alignments_are_kept),
        api_test(realloc_stays_in_the_arena),
        api_test(no_ordinary_block_comes_from_it),
        api_test(only_so_many_can_be_had),
        api_test(a_heap_that_stays_is_used_again),
        api_test(without_memory_there_is_none),
        api_test(threads_can_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
