/*
 * alloc.c - the verbs: which level serves a request, what comes next when that
 * has nothing left, and where a block goes when it is resized.
 *
 * Threads cache nothing here, but for the tests that say so: then each call is
 * seen by the level below.
 */
#define _GNU_SOURCE
#include "alloc.h"

#include "unit.h"

#include "actor.h"
#include "arenas.h"
#include "child.h"
#include "faulty_syscall.h"
#include "guard.h"
#include "inspect.h"
#include "lock.h"
#include "mapped.h"
#include "options.h"
#include "os.h"
#include "owner.h"
#include "purge.h"
#include "rng.h"
#include "tcache.h"

static const struct faulty_plan no_memory = {
    .kinds = FAULTY_MMAP | FAULTY_MPROTECT | FAULTY_MREMAP,
    .first = 1,
    .how_many = FAULTY_FOR_EVER,
};

static const struct faulty_plan no_heaps = {
    .kinds = FAULTY_MMAP,
    .reservations_only = true,
    .first = 1,
    .how_many = FAULTY_FOR_EVER,
};

static bool all_is_sound(void)
{
    struct damage damage;
    bool sound = inspect_everything(&damage);
    if (!sound) {
        print_error("%s at %p, arena %u\n", damage.what, damage.address,
                    damage.arena);
    }
    return sound && lock_ranks_held == 0;
}

/* Between two tests: options as they are by default, nothing refused, nothing
 * mapped, all sound. */
static int tidy_up(void **state)
{
    (void)state;
    faulty_use(NULL);
    option_set(OPTION_MMAP_THRESHOLD, DEFAULT_MMAP_THRESHOLD);
    option_set(OPTION_MMAP_MAX, DEFAULT_MMAP_MAX);
    option_set(OPTION_PERTURB, 0);
    option_set(OPTION_MAPPED_CACHE, DEFAULT_MAPPED_CACHE);
    purge_everything(0);
    return all_is_sound() && mapped_count() == 0 ? 0 : -1;
}

static bool is_mapped(const void *mem)
{
    return owner_of(mem) == 0 && chunk_is_mmapped(mem2chunk(mem));
}

static void fill(void *mem, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++) {
        ((unsigned char *)mem)[i] = (unsigned char)(seed + i * 7 + (i >> 8));
    }
}

static bool holds(const void *mem, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++) {
        if (((const unsigned char *)mem)[i] !=
            (unsigned char)(seed + i * 7 + (i >> 8))) {
            return false;
        }
    }
    return true;
}

static bool is_all(const void *mem, size_t from, size_t to, unsigned char byte)
{
    for (size_t i = from; i < to; i++) {
        if (((const unsigned char *)mem)[i] != byte) {
            return false;
        }
    }
    return true;
}

/* ---- which level -------------------------------------------------------- */

static void large_requests_are_mapped(void **state)
{
    static const struct {
        size_t alignment, size;
        bool is_mapped;
    } cases[] = {
        {16, 1, false},
        {16, DEFAULT_MMAP_THRESHOLD - 1, false},
        {16, DEFAULT_MMAP_THRESHOLD, true},
        {32, DEFAULT_MMAP_THRESHOLD, true},
        {4096, DEFAULT_MMAP_THRESHOLD - 1, false},
        {DEFAULT_MMAP_THRESHOLD / 2, 1, false},
        {DEFAULT_MMAP_THRESHOLD, 1, true},
        {64 << 20, 1, true},
        {16, 100 << 20, true},
        {4096, 100 << 20, true},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        void *mem = cases[i].alignment == MALLOC_ALIGNMENT
                        ? alloc_malloc(cases[i].size)
                        : alloc_memalign(cases[i].alignment, cases[i].size);
        assert_non_null(mem);
        assert_int_equal(is_mapped(mem), cases[i].is_mapped);
        assert_int_equal(mapped_count(), cases[i].is_mapped);
        assert_int_equal((uintptr_t)mem % cases[i].alignment, 0);
        assert_int_equal((uintptr_t)mem % MALLOC_ALIGNMENT, 0);
        assert_true(alloc_usable_size(mem) >= cases[i].size);
        alloc_free(mem);
        assert_int_equal(mapped_count(), 0);
    }
}

static void the_threshold_is_an_option(void **state)
{
    (void)state;
    option_set(OPTION_MMAP_THRESHOLD, 1000);
    void *below = alloc_malloc(999), *at = alloc_malloc(1000);
    assert_false(is_mapped(below));
    assert_true(is_mapped(at));
    option_set(OPTION_MMAP_THRESHOLD, SIZE_MAX);
    void *large = alloc_malloc(10 << 20);
    assert_false(is_mapped(large));
    alloc_free(below);
    alloc_free(at);
    alloc_free(large);
}

static void so_is_the_number_of_mappings(void **state)
{
    (void)state;
    option_set(OPTION_MMAP_MAX, 2);
    void *blocks[4];
    for (int i = 0; i < 4; i++) {
        blocks[i] = alloc_malloc(1 << 20);
        assert_int_equal(is_mapped(blocks[i]), i < 2);
    }
    for (int i = 0; i < 4; i++) {
        alloc_free(blocks[i]);
    }
    /* What fits no heap has to be mapped all the same. */
    option_set(OPTION_MMAP_MAX, 0);
    void *block = alloc_malloc(HEAP_MAX_SIZE);
    assert_true(is_mapped(block));
    alloc_free(block);
    block = alloc_memalign(HEAP_MAX_SIZE, 1);
    assert_true(is_mapped(block));
    alloc_free(block);
}

/* Around the largest block that a heap can hold. */
static void the_largest_blocks_of_a_heap(void **state)
{
    (void)state;
    option_set(OPTION_MMAP_THRESHOLD, SIZE_MAX);
    bool was_mapped = false;
    for (size_t size = CHUNK_SIZE_MAX - 256; size < HEAP_MAX_SIZE + 256;
         size += 16) {
        void *mem = alloc_malloc(size);
        assert_non_null(mem);
        assert_true(!was_mapped || is_mapped(mem));
        was_mapped = is_mapped(mem);
        memset((char *)mem + size - 64, 1, 64);
        alloc_free(mem);
    }
    assert_true(was_mapped);
}

/* ---- when a level has nothing left -------------------------------------- */

static void map_after_all(void *unused)
{
    (void)unused;
    faulty_use(&no_heaps);
    MUST(alloc_malloc(os_page_size() - 1) == NULL);
    void *mem = alloc_malloc(os_page_size());
    MUST(mem != NULL && is_mapped(mem));
    void *aligned = alloc_memalign(1024, 10000);
    MUST(aligned != NULL && is_mapped(aligned));
    MUST((uintptr_t)aligned % 1024 == 0);
    alloc_free(mem);
    alloc_free(aligned);
    faulty_use(NULL);
    mem = alloc_malloc(os_page_size());
    MUST(mem != NULL && !is_mapped(mem));
    MUST(all_is_sound());
}

static void without_heaps_pages_are_mapped(void **state)
{
    (void)state;
    child_must_succeed(map_after_all, NULL);
}

static void use_heap_after_all(void *unused)
{
    const struct faulty_plan no_mappings = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)unused;
    alloc_free(alloc_malloc(1));
    faulty_use(&no_mappings);
    void *mem = alloc_malloc(1 << 20);
    MUST(mem != NULL && !is_mapped(mem));
    MUST(alloc_malloc(HEAP_MAX_SIZE) == NULL);
    alloc_free(mem);
    MUST(all_is_sound());
}

static void without_mappings_large_blocks_come_from_heaps(void **state)
{
    (void)state;
    child_must_succeed(use_heap_after_all, NULL);
}

static void hold_main(void *unused)
{
    (void)unused;
    MUST(arena_acquire(&main_arena));
}

static void release_main(void *unused)
{
    (void)unused;
    arena_release(&main_arena);
}

/* This thread is attached to arena 2 from now on. */
static void move_to_arena_2(void)
{
    struct actor holder;
    actor_start(&holder);
    actor_do(&holder, hold_main, NULL);
    void *mem = alloc_malloc(100);
    MUST(owner_of(mem) == 2);
    actor_do(&holder, release_main, NULL);
    alloc_free(mem);
    actor_end(&holder);
}

static void exhaust_arena_2(void *unused)
{
    (void)unused;
    void *in_main = alloc_malloc(100000);
    void *fence = alloc_malloc(1);
    MUST(owner_of(in_main) == 1);
    alloc_free(in_main);
    move_to_arena_2();
    faulty_use(&no_memory);
    unsigned owner = 2, served = 0;
    while (owner == 2) {
        void *mem = alloc_malloc(10000);
        MUST(mem != NULL);
        owner = owner_of(mem);
        served++;
    }
    MUST(owner == 1 && served > 3);
    while (alloc_malloc(10000) != NULL) {
        served++;
    }
    MUST(served > 10);
    MUST(alloc_calloc(10000) == NULL);
    MUST(alloc_memalign(64, 10000) == NULL);
    faulty_use(NULL);
    MUST(owner_of(alloc_malloc(10000)) != 0);
    alloc_free(fence);
    MUST(all_is_sound());
}

static void an_exhausted_arena_is_left_for_main(void **state)
{
    (void)state;
    child_must_succeed(exhaust_arena_2, NULL);
}

static void nothing_is_left_and_errno_is_alone(void **state)
{
    (void)state;
    void *mem = alloc_malloc(1000);
    fill(mem, 1000, 1);
    faulty_use(&no_memory);
    errno = 77;
    assert_null(alloc_malloc(1 << 30));
    assert_null(alloc_calloc(1 << 30));
    assert_null(alloc_memalign(1 << 20, 1 << 20));
    assert_null(alloc_memalign((size_t)1 << 62, PTRDIFF_MAX));
    assert_null(alloc_malloc(PTRDIFF_MAX));
    assert_null(alloc_realloc(mem, 1 << 30));
    assert_true(holds(mem, 1000, 1));
    alloc_free(mem);
    assert_int_equal(errno, 77);
}

/* ---- zeroes ------------------------------------------------------------- */

static void cleared_blocks_are_zero(void **state)
{
    struct rng rng = {7};
    unsigned char *blocks[64] = {NULL};
    (void)state;
    for (int step = 0; step < 6000; step++) {
        size_t i = rng_below(&rng, count_of(blocks));
        size_t size = rng_below(&rng, (size_t)32 << rng_below(&rng, 15));
        if (blocks[i] != NULL) {
            alloc_free(blocks[i]);
            blocks[i] = NULL;
            continue;
        }
        blocks[i] = alloc_calloc(size);
        assert_true(is_all(blocks[i], 0, size, 0));
        memset(blocks[i], 0xff, alloc_usable_size(blocks[i]));
    }
    for (size_t i = 0; i < count_of(blocks); i++) {
        if (blocks[i] != NULL) {
            alloc_free(blocks[i]);
        }
    }
}

static void perturbed_memory_is_filled(void **state)
{
    static const size_t sizes[] = {100, 1000, 100000, 1 << 20};
    (void)state;
    option_set(OPTION_PERTURB, 0x5c);
    for (size_t i = 0; i < count_of(sizes); i++) {
        unsigned char *mem = alloc_malloc(sizes[i]);
        assert_true(is_all(mem, 0, sizes[i], 0xa3));
        bool in_heap = !is_mapped(mem);
        void *fence = alloc_malloc(1);
        memset(mem, 1, sizes[i]);
        alloc_free(mem);
        /* Behind the links of the free chunk, before its footer. */
        assert_true(!in_heap || is_all(mem, 16, sizes[i] - 16, 0x5c));
        alloc_free(fence);
        mem = alloc_calloc(sizes[i]);
        assert_true(is_all(mem, 0, sizes[i], 0));
        alloc_free(mem);
        mem = alloc_memalign(256, sizes[i]);
        assert_true(is_all(mem, 0, sizes[i], 0xa3));
        alloc_free(mem);
    }
}

/* ---- resizing ----------------------------------------------------------- */

static void contents_survive_every_way(void **state)
{
    static const size_t sizes[] = {
        1,      100,     24,      5000, DEFAULT_MMAP_THRESHOLD - 1,
        40,     1 << 20, 3 << 20, 100,  DEFAULT_MMAP_THRESHOLD,
        500000, 8 << 20,
    };
    (void)state;
    for (size_t i = 0; i < count_of(sizes); i++) {
        for (size_t j = 0; j < count_of(sizes); j++) {
            unsigned char *mem = alloc_malloc(sizes[i]);
            void *fence = j % 2 == 0 ? alloc_malloc(1) : NULL;
            fill(mem, sizes[i], (unsigned)(i + j));
            mem = alloc_realloc(mem, sizes[j]);
            assert_non_null(mem);
            assert_true(alloc_usable_size(mem) >= sizes[j]);
            assert_true(
                holds(mem, min_size(sizes[i], sizes[j]), (unsigned)(i + j)));
            memset(mem, 1, alloc_usable_size(mem));
            alloc_free(mem);
            if (fence != NULL) {
                alloc_free(fence);
            }
        }
        assert_true(all_is_sound());
    }
}

static void a_growing_block_is_mapped_once(void **state)
{
    (void)state;
    char *mem = alloc_malloc(DEFAULT_MMAP_THRESHOLD - 100);
    assert_false(is_mapped(mem));
    mem = alloc_realloc(mem, DEFAULT_MMAP_THRESHOLD);
    assert_true(is_mapped(mem));
    faulty_use(&(struct faulty_plan){.kinds = FAULTY_MMAP | FAULTY_MUNMAP});
    mem = alloc_realloc(mem, 4 << 20);
    mem = alloc_realloc(mem, 100);
    assert_true(is_mapped(mem)); /* shrinking does not bring it back */
    assert_int_equal(faulty_calls_counted(), 0);
    alloc_free(mem);
}

static void a_block_shrinks_and_grows_in_place(void **state)
{
    (void)state;
    char *mem = alloc_malloc(1000);
    char *same = alloc_realloc(mem, 100);
    assert_ptr_equal(same, mem);
    assert_ptr_equal(alloc_realloc(mem, 1000), mem);
    assert_ptr_equal(alloc_realloc(mem, alloc_usable_size(mem)), mem);
    /* Above the threshold by an option that came late: shrinking stays. */
    char *large = alloc_malloc(200000);
    option_set(OPTION_MMAP_THRESHOLD, 100000);
    assert_ptr_equal(alloc_realloc(large, 150000), large);
    assert_false(is_mapped(large));
    alloc_free(large);
    alloc_free(mem);
}

static void a_refused_mremap_is_no_end(void **state)
{
    const struct faulty_plan no_remap = {
        .kinds = FAULTY_MREMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)state;
    option_set(OPTION_MAPPED_CACHE, 0);
    char *mem = alloc_malloc(1 << 20);
    fill(mem, 1 << 20, 3);
    faulty_use(&no_remap);
    assert_ptr_equal(alloc_realloc(mem, 1000), mem);
    assert_true(holds(mem, 1000, 3));
    char *moved = alloc_realloc(mem, 2 << 20);
    assert_non_null(moved);
    assert_ptr_not_equal(moved, mem);
    assert_true(holds(moved, 1 << 20, 3));
    assert_int_equal(mapped_count(), 1);
    faulty_use(&no_memory);
    assert_null(alloc_realloc(moved, 100 << 20));
    faulty_use(NULL);
    assert_true(holds(moved, 1 << 20, 3));
    alloc_free(moved);
}

static void use_up_all_memory(void)
{
    faulty_use(&no_memory);
    for (size_t size = 100000; size > 0; size /= 2) {
        while (alloc_malloc(size) != NULL) {
        }
    }
}

/* Both kinds move, as a rule, whenever they are resized. */
static void shrink_without_memory(void *unused)
{
    (void)unused;
    option_set(OPTION_HARDENED, 1);
    tcache_set_limits();
    char *alone = guard_allocate(900, (struct call){0});
    char *hardened = alloc_malloc(1000);
    MUST(guard_contains(alone));
    fill(alone, 900, 1);
    fill(hardened, 1000, 2);
    use_up_all_memory();
    MUST(alloc_realloc(alone, 800) == alone);
    MUST(alloc_realloc(hardened, 800) == hardened);
    MUST(alloc_realloc(alone, 2000) == NULL);
    MUST(alloc_realloc(hardened, 2000) == NULL);
    MUST(holds(alone, 900, 1) && holds(hardened, 1000, 2));
    alloc_free(alone);
    alloc_free(hardened);
}

static void what_shrinks_needs_no_memory(void **state)
{
    (void)state;
    child_must_succeed(shrink_without_memory, NULL);
}

/* ---- threads and fork --------------------------------------------------- */

static void allocate_once(void *unused)
{
    (void)unused;
    alloc_free(alloc_malloc(10));
}

static unsigned threads_attached(void)
{
    unsigned count = 0;
    for (unsigned number = 1; number <= arenas_count(); number++) {
        count += arena_numbered(number)->attached;
    }
    return count;
}

static void come_and_go(void *unused)
{
    struct actor threads[3];
    (void)unused;
    allocate_once(NULL);
    MUST(main_arena.attached == 1);
    for (int i = 0; i < 3; i++) {
        actor_start(&threads[i]);
        MUST(threads_attached() == 1 + (unsigned)i);
        actor_do(&threads[i], allocate_once, NULL);
    }
    for (int i = 0; i < 3; i++) {
        MUST(threads_attached() == 4 - (unsigned)i);
        actor_end(&threads[i]);
    }
    MUST(main_arena.attached == 1 && threads_attached() == 1);
}

static void threads_attach_and_detach(void **state)
{
    (void)state;
    child_must_succeed(come_and_go, NULL);
}

/* There is nowhere to move it to: it stays as it is, whatever it is to become;
 * one that is to be smaller can. */
static void resize_where_it_is(char *large)
{
    faulty_use(&no_memory);
    MUST(alloc_realloc(large, 50000) == large);
    MUST(alloc_realloc(large, 200000) == NULL);
    faulty_use(NULL);
    MUST(holds(large, 100000, 7));
}

/* In the child the block's arena is lost: it may be used, and asked for, and
 * moved; freeing it does nothing. */
static void use_a_block_of_a_lost_arena(char *mem)
{
    uint64_t word = chunk_word(mem2chunk(mem));
    MUST(main_arena.is_abandoned);
    MUST(holds(mem, 100, 9));
    MUST(alloc_usable_size(mem) == 104);
    char *moved = alloc_realloc(mem, 5000);
    MUST(moved != NULL && moved != mem && owner_of(moved) != 1);
    MUST(holds(moved, 100, 9));
    MUST(alloc_realloc(mem, 50) != mem);
    alloc_free(mem);
    alloc_free(mem);
    MUST(chunk_word(mem2chunk(mem)) == word);
    for (int i = 0; i < 100; i++) {
        MUST(owner_of(alloc_malloc(100)) != 1);
    }
    void *mapped = alloc_malloc(1 << 20);
    MUST(is_mapped(mapped));
    alloc_free(mapped);
    alloc_free(moved);
    MUST(all_is_sound());
}

static void fork_while_main_is_held(void *unused)
{
    struct actor holder;
    (void)unused;
    char *mem = alloc_malloc(100);
    fill(mem, 100, 9);
    char *large = alloc_malloc(100000);
    fill(large, 100000, 7);
    MUST(owner_of(mem) == 1 && owner_of(large) == 1);
    actor_start(&holder);
    actor_do(&holder, hold_main, NULL);
    pid_t child = fork();
    if (child == 0) {
        trial_watch();
        resize_where_it_is(large);
        use_a_block_of_a_lost_arena(mem);
        _exit(0);
    }
    trial_child_must_succeed(child);
    actor_do(&holder, release_main, NULL);
    alloc_free(mem);
    alloc_free(large);
    MUST(all_is_sound());
}

static void blocks_of_a_lost_arena_can_be_read(void **state)
{
    (void)state;
    child_must_succeed(fork_while_main_is_held, NULL);
}

/* ---- crimes: the words, here; every kind of them, in tests/misuse ------- */

static void free_it(void *mem)
{
    alloc_free(mem);
}

static void resize_it(void *mem)
{
    alloc_realloc(mem, 1000);
}

static void ask_for_its_size(void *mem)
{
    alloc_usable_size(mem);
}

static void crimes_are_told(void **state)
{
    (void)state;
    char *mem = alloc_malloc(100);
    size_t at = (size_t)mem;
    char *fence = alloc_malloc(100);
    child_must_abort(free_it, mem + 8,
                     "ptm: free(): misaligned pointer: address 0x%zx", at + 8);
    child_must_abort(resize_it, state, "ptm: realloc(): %s: address 0x%zx",
                     (size_t)state % 16 == 0 ? "not a block of malloc"
                                             : "misaligned pointer",
                     (size_t)state);
    child_must_abort(ask_for_its_size, (void *)0x4141414141414140,
                     "ptm: malloc_usable_size(): not a block of malloc: "
                     "address 0x4141414141414140");
    uint64_t word = chunk_word(mem2chunk(mem));
    overwrite_word(mem2chunk(mem), word ^ (uint64_t)1 << 40);
    child_must_abort(free_it, mem,
                     "ptm: free(): destroyed size word: address 0x%zx, "
                     "word 0x%zx, arena 1",
                     at, (size_t)(word ^ (uint64_t)1 << 40));
    overwrite_word(mem2chunk(mem), word);
    uint64_t next = chunk_word(mem2chunk(fence));
    overwrite_word(mem2chunk(fence), 0x4141414141414141);
    child_must_abort(resize_it, mem,
                     "ptm: realloc(): destroyed size word after the block: "
                     "address 0x%zx, size 104, arena 1",
                     at);
    overwrite_word(mem2chunk(fence), next);
    alloc_free(mem);
    child_must_abort(free_it, mem,
                     "ptm: free(): double free: address 0x%zx, size 104, "
                     "arena 1",
                     at);
    child_must_abort(ask_for_its_size, mem,
                     "ptm: malloc_usable_size(): use of a freed block: "
                     "address 0x%zx, size 104, arena 1",
                     at);
    alloc_free(fence);
}

#define alloc_test(name) cmocka_unit_test_teardown(name, tidy_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* These have a child without any heap. */
        alloc_test(without_heaps_pages_are_mapped),
        alloc_test(without_mappings_large_blocks_come_from_heaps),
        alloc_test(an_exhausted_arena_is_left_for_main),
        alloc_test(threads_attach_and_detach),
        alloc_test(blocks_of_a_lost_arena_can_be_read),

        alloc_test(large_requests_are_mapped),
        alloc_test(the_threshold_is_an_option),
        alloc_test(so_is_the_number_of_mappings),
        alloc_test(the_largest_blocks_of_a_heap),
        alloc_test(nothing_is_left_and_errno_is_alone),
        alloc_test(cleared_blocks_are_zero),
        alloc_test(perturbed_memory_is_filled),
        alloc_test(contents_survive_every_way),
        alloc_test(a_growing_block_is_mapped_once),
        alloc_test(a_block_shrinks_and_grows_in_place),
        alloc_test(a_refused_mremap_is_no_end),
        alloc_test(what_shrinks_needs_no_memory),
        alloc_test(crimes_are_told),
    };
    option_set(OPTION_TCACHE_MAX, 0);
    tcache_set_limits();
    return UNIT_RUN(tests);
}
