/*
 * ptm_visit meets every block that the program has, once, and no other; and
 * ptm_malloc_size knows a block from anything else.
 */
#include "api.h"

#include <mcheck.h>
#include <pthread.h>

enum { MANY = 2000 };

static void *blocks[MANY];
static size_t sizes[MANY];
static unsigned char met[MANY];
static size_t others;

static size_t size_of(unsigned i)
{
    return i % 200 == 0 ? MAPPED_BLOCK : i % 50 == 0 ? 0 : i * 11 % 5000;
}

static int meet(void *memory, size_t size, void *data)
{
    (void)data;
    for (unsigned i = 0; i < MANY; i++) {
        if (blocks[i] == memory) {
            met[i] = met[i] == 0 && size >= size_of(i) ? 1 : 2;
            sizes[i] = size;
            return 0;
        }
    }
    others++;
    return 0;
}

static void visit_all(void)
{
    memset(met, 0, sizeof met);
    others = 0;
    assert_int_equal(ptm_visit(meet, NULL), 0);
}

static void every_block_is_met_once(void **state)
{
    (void)state;
    struct ptm_arena *arena = ptm_arena_create(0);
    for (unsigned i = 0; i < MANY; i++) {
        blocks[i] = i % 3 == 0 && size_of(i) < MAPPED_BLOCK
                        ? ptm_arena_malloc(arena, size_of(i))
                        : malloc(size_of(i));
    }
    visit_all();
    size_t not_ours = others;
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(met[i], 1);
        assert_int_equal(sizes[i], malloc_usable_size(blocks[i]));
    }
    /* Freed ones are not met: neither as blocks of ours, nor as others'. */
    for (unsigned i = 0; i < MANY; i += 2) {
        free(blocks[i]);
    }
    visit_all();
    assert_int_equal(others, not_ours);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(met[i], i % 2);
    }
    for (unsigned i = 1; i < MANY; i += 2) {
        free(blocks[i]);
    }
    visit_all();
    assert_int_equal(others, not_ours);
    ptm_arena_destroy(arena);
}

static int count_to_three(void *memory, size_t size, void *data)
{
    (void)memory;
    (void)size;
    return ++*(int *)data == 3 ? 33 : 0;
}

static void the_visitor_can_end_it(void **state)
{
    (void)state;
    int count = 0;
    void *keep[3] = {malloc(1), malloc(1), malloc(MAPPED_BLOCK)};
    assert_int_equal(ptm_visit(count_to_three, &count), 33);
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++) {
        free(keep[i]);
    }
}

static void the_size_of_a_block_is_its_usable_one(void **state)
{
    (void)state;
    for (size_t size = 0; size < 600000; size += size / 7 + 1) {
        void *block = malloc(size);
        assert_int_equal(ptm_malloc_size(block), malloc_usable_size(block));
        free(block);
    }
}

static void ignore_damage(enum mcheck_status status)
{
    (void)status;
}

static void a_block_of_no_bytes_is_one(void **state)
{
    (void)state;
    void *none = malloc(0);
    void *aligned = aligned_alloc(64, 0);
    assert_int_equal(mcheck(ignore_damage), 0);
    assert_int_equal(ptm_malloc_size(aligned), malloc_usable_size(aligned));
    assert_int_equal(mprobe(none), MCHECK_OK);
    assert_int_equal(mprobe(aligned), MCHECK_OK);
    free(none);
    free(aligned);
}

static void what_is_no_block_has_no_size(void **state)
{
    (void)state;
    static char in_data[64];
    char on_stack[64];
    char *block = malloc(1000);
    char *mapped = malloc(MAPPED_BLOCK);
    memset(block, 0x5a, 1000);
    memset(mapped, 0x5a, 10000);
    assert_int_equal(ptm_malloc_size(NULL), 0);
    assert_int_equal(ptm_malloc_size((void *)16), 0);
    assert_int_equal(ptm_malloc_size((void *)UINTPTR_MAX), 0);
    assert_int_equal(ptm_malloc_size(opaque(in_data)), 0);
    assert_int_equal(ptm_malloc_size(opaque(on_stack)), 0);
    assert_int_equal(ptm_malloc_size((void *)&memset), 0);
    assert_int_equal(ptm_malloc_size(block + 1), 0);
    assert_int_equal(ptm_malloc_size(block + 16), 0);
    assert_int_equal(ptm_malloc_size(block + 512), 0);
    assert_int_equal(ptm_malloc_size(mapped + 4096), 0);
    free(block);
    free(mapped);
    assert_int_equal(ptm_malloc_size(opaque(block)), 0);
    assert_int_equal(ptm_malloc_size(opaque(mapped)), 0);
}

/* Heaps go while a thread asks what is, or was, in them. */
enum { LARGE = 1500, LARGE_SIZE = 100000, HEAP_ROUNDS = 25 };

static void *large[LARGE];
static bool must_stop;

static void *ask_for_sizes(void *unused)
{
    unsigned next = 1;
    while (!__atomic_load_n(&must_stop, __ATOMIC_RELAXED)) {
        next = next * 1103515245 + 12345;
        void *memory =
            __atomic_load_n(&large[(next >> 8) % LARGE], __ATOMIC_RELAXED);
        ptm_malloc_size(memory);
        mprobe(memory);
    }
    return unused;
}

static void heaps_may_go_meanwhile(void **state)
{
    (void)state;
    pthread_t threads[2];
    assert_int_equal(mcheck(ignore_damage), 0);
    for (unsigned i = 0; i < count_of(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_sizes, NULL),
                         0);
    }
    for (int round = 0; round < HEAP_ROUNDS; round++) {
        for (int i = 0; i < LARGE; i++) {
            void *memory = malloc(LARGE_SIZE);
            __atomic_store_n(&large[i], memory, __ATOMIC_RELAXED);
        }
        for (int i = 0; i < LARGE; i++) {
            free(large[i]);
        }
        malloc_trim(0);
    }
    __atomic_store_n(&must_stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < count_of(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(ptm_check(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(every_block_is_met_once),
        api_test(the_visitor_can_end_it),
        api_test(the_size_of_a_block_is_its_usable_one),
        api_test(a_block_of_no_bytes_is_one),
        api_test(what_is_no_block_has_no_size),
        api_test(heaps_may_go_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
