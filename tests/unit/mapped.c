/*
 * mapped.c - direct mappings and the table of them, on a kernel that may say
 * no. Every test ends with no mapping and a sound table. But for the tests that
 * say so, freed mappings are not kept to be used again.
 */
#define _GNU_SOURCE
#include "mapped.h"

#include "unit.h"

#include <sched.h>

#include "actor.h"
#include "child.h"
#include "faulty_syscall.h"
#include "lock.h"
#include "recent.h"
#include "options.h"
#include "os.h"
#include "rng.h"

static size_t page;

static const struct faulty_plan no_unmap = {
    .kinds = FAULTY_MUNMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
static const struct faulty_plan no_map = {
    .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
static const struct faulty_plan no_remap = {
    .kinds = FAULTY_MREMAP, .first = 1, .how_many = FAULTY_FOR_EVER};

/* ---- helpers ------------------------------------------------------------ */

static bool table_is_sound(void)
{
    const void *where;
    const char *wrong = mapped_inspect(&where);
    if (wrong != NULL) {
        print_error("%s at %p\n", wrong, where);
    }
    return wrong == NULL;
}

/* A new mapping, and so zero. */
static struct chunk *allocate(size_t alignment, size_t size)
{
    bool is_zero = false;
    struct chunk *chunk = mapped_allocate(alignment, size, &is_zero);
    MUST(chunk == NULL || is_zero);
    return chunk;
}

static int nothing_is_mapped(void **state)
{
    struct mapped_totals totals = mapped_get_totals();
    (void)state;
    faulty_use(NULL);
    mapped_trim();
    option_set(OPTION_MAPPED_CACHE, 0);
    bool empty = totals.count == 0 && totals.bytes == 0 && mapped_count() == 0;
    return empty && table_is_sound() ? 0 : -1;
}

static void totals_must_be(size_t count, size_t bytes)
{
    struct mapped_totals totals = mapped_get_totals();
    assert_int_equal(totals.count, count);
    assert_int_equal(totals.bytes, bytes);
    assert_int_equal(mapped_count(), count);
    assert_true(totals.max_count >= count && totals.max_bytes >= bytes);
    assert_true(table_is_sound());
}

static long address_space(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    MUST(file != NULL && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages;
}

static size_t usable(const struct chunk *chunk)
{
    size_t size = 0;
    MUST(mapped_usable_size(chunk, &size) == MAPPED_OK);
    return size;
}

static char *bytes_of(const struct chunk *chunk)
{
    return chunk2mem(chunk);
}

static bool is_filled(const struct chunk *chunk, size_t from, size_t to,
                      char with)
{
    for (size_t i = from; i < to; i++) {
        if (bytes_of(chunk)[i] != with) {
            return false;
        }
    }
    return true;
}

static void fill(struct chunk *chunk, char with)
{
    memset(bytes_of(chunk), with, usable(chunk));
}

static void discard(struct chunk *chunk)
{
    MUST(mapped_free(chunk) == MAPPED_OK);
}

/* ---- one mapping -------------------------------------------------------- */

static void a_block_has_whole_pages(void **state)
{
    const struct {
        size_t size, pages;
    } cases[] = {
        {0, 1},
        {1, 1},
        {page - 16, 1},
        {page - 15, 2},
        {2 * page, 3},
        {100 * page, 101},
        {1 << 20, (1 << 20) / page + 1},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        struct chunk *chunk = allocate(16, cases[i].size);
        assert_non_null(chunk);
        assert_int_equal((uintptr_t)chunk % page, 0);
        size_t length = cases[i].pages * page;
        assert_int_equal(usable(chunk), length - CHUNK_HEADER_SIZE);
        assert_true(chunk_is_mapped_with(chunk, length));
        assert_true(is_filled(chunk, 0, length - CHUNK_HEADER_SIZE, 0));
        fill(chunk, 1);
        totals_must_be(1, length);
        discard(chunk);
        totals_must_be(0, 0);
    }
}

static void every_alignment_is_had(void **state)
{
    static const size_t sizes[] = {0, 1, 4096, 5000, 300000};
    (void)state;
    for (size_t alignment = 32; alignment <= 256u << 20; alignment *= 2) {
        for (size_t i = 0; i < count_of(sizes); i++) {
            long before = address_space();
            struct chunk *chunk = allocate(alignment, sizes[i]);
            assert_non_null(chunk);
            assert_int_equal((uintptr_t)chunk2mem(chunk) % alignment, 0);
            size_t size = max_size(sizes[i], usable_size_of(MIN_CHUNK_SIZE));
            assert_in_range(usable(chunk), size, size + page - 1);
            assert_true(is_filled(chunk, 0, usable(chunk), 0));
            fill(chunk, 1);
            totals_must_be(1, usable(chunk) + CHUNK_HEADER_SIZE);
            /* Of the slack that the alignment asks for, none is kept. */
            size_t pages = (size_t)(address_space() - before);
            assert_true(pages * page < sizes[i] + 3 * page);
            discard(chunk);
            assert_int_equal(address_space(), before);
        }
    }
}

static void the_impossible_is_refused(void **state)
{
    (void)state;
    struct mapped_totals before = mapped_get_totals();
    errno = 77;
    assert_null(allocate(16, PTRDIFF_MAX));
    assert_null(allocate((size_t)1 << 62, PTRDIFF_MAX));
    assert_null(allocate((size_t)1 << 62, 1));
    assert_null(allocate(4096, PTRDIFF_MAX));
    assert_int_equal(errno, 77);
    totals_must_be(0, 0);
    struct mapped_totals after = mapped_get_totals();
    assert_int_equal(after.max_count, before.max_count);
    assert_int_equal(after.max_bytes, before.max_bytes);
}

static void the_most_is_remembered(void **state)
{
    (void)state;
    struct mapped_totals before = mapped_get_totals();
    struct chunk *first = allocate(16, before.max_bytes + 1);
    size_t most = usable(first) + CHUNK_HEADER_SIZE;
    discard(first);
    discard(allocate(16, 1));
    struct mapped_totals after = mapped_get_totals();
    assert_int_equal(after.max_bytes, most);
    assert_int_equal(after.max_count, before.max_count);
}

/* ---- the table ---------------------------------------------------------- */

enum {
    MANY = 3000,
};

/* Beyond the static slots and several tables after that. */
static void thousands_are_found_again(void **state)
{
    static struct chunk *chunks[MANY];
    struct rng rng = {3};
    size_t bytes = 0;
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        chunks[i] = allocate(i % 7 == 0 ? 1024 : 16, i % 9 * page);
        assert_non_null(chunks[i]);
        bytes += usable(chunks[i]) + CHUNK_HEADER_SIZE;
        if (is_power_of_two(i) || i % 500 == 0) {
            totals_must_be(i + 1, bytes);
        }
    }
    for (size_t left = MANY; left > 0; left--) {
        size_t i = rng_below(&rng, left);
        bytes -= usable(chunks[i]) + CHUNK_HEADER_SIZE;
        discard(chunks[i]);
        assert_int_equal(mapped_free(chunks[i]), MAPPED_UNKNOWN);
        chunks[i] = chunks[left - 1];
        if (left % 500 == 0) {
            totals_must_be(left - 1, bytes);
        }
    }
}

/* Many come and go while few are there: the slots of the gone are used again,
 * or the table would fill up with them. */
static void a_table_of_few_stays_sound(void **state)
{
    struct chunk *chunks[40] = {NULL};
    struct rng rng = {4};
    (void)state;
    for (int step = 0; step < 5000; step++) {
        size_t i = rng_below(&rng, count_of(chunks));
        if (chunks[i] != NULL) {
            discard(chunks[i]);
            chunks[i] = NULL;
        } else {
            chunks[i] = allocate(16, rng_below(&rng, 20) * page);
            assert_non_null(chunks[i]);
        }
        if (step % 100 == 0) {
            assert_true(table_is_sound());
        }
    }
    for (size_t i = 0; i < count_of(chunks); i++) {
        if (chunks[i] != NULL) {
            discard(chunks[i]);
        }
    }
}

static void must_be_unknown(void *address)
{
    struct chunk *chunk = address;
    size_t size = 5;
    assert_int_equal(mapped_usable_size(chunk, &size), MAPPED_UNKNOWN);
    assert_int_equal(size, 5);
    assert_int_equal(mapped_free(chunk), MAPPED_UNKNOWN);
    assert_int_equal(mapped_resize(&chunk, 1), MAPPED_UNKNOWN);
    assert_ptr_equal(chunk, address);
}

/* None of these is touched; most could not be. */
static void other_addresses_are_unknown(void **state)
{
    (void)state;
    struct chunk *chunk = allocate(16, 10 * page);
    struct chunk *aligned = allocate(1024, 1);
    struct chunk *gone = allocate(16, page);
    discard(gone);
    const uintptr_t wild[] = {
        0,
        1,
        2,
        3,
        8,
        16,
        (uintptr_t)1 << 47,
        0x4141414141414140,
        UINTPTR_MAX,
        UINTPTR_MAX - 15,
        (uintptr_t)state,
        (uintptr_t)gone,
        (uintptr_t)chunk - 16,
        (uintptr_t)chunk + 1,
        (uintptr_t)chunk + 2,
        (uintptr_t)chunk + 4,
        (uintptr_t)chunk + 8,
        (uintptr_t)chunk + 16,
        (uintptr_t)chunk + page,
        round_down((uintptr_t)aligned, page),
        (uintptr_t)aligned + 16,
    };
    for (size_t i = 0; i < count_of(wild); i++) {
        must_be_unknown((void *)wild[i]);
    }
    totals_must_be(2, usable(chunk) + usable(aligned) + 2 * CHUNK_HEADER_SIZE);
    discard(chunk);
    discard(aligned);
}

static void must_be_destroyed(struct chunk *chunk)
{
    struct chunk *same = chunk;
    size_t size = 5;
    assert_int_equal(mapped_usable_size(chunk, &size), MAPPED_DESTROYED);
    assert_int_equal(size, 5);
    assert_int_equal(mapped_free(chunk), MAPPED_DESTROYED);
    assert_int_equal(mapped_resize(&same, 1), MAPPED_DESTROYED);
    assert_ptr_equal(same, chunk);
}

static void a_header_is_checked_and_never_believed(void **state)
{
    (void)state;
    struct chunk *chunk = allocate(16, 3 * page);
    size_t length = chunk->prev_size;
    uint64_t word = chunk_word(chunk);
    const uint64_t words[] = {
        0,
        2,
        UINT64_MAX,
        word ^ 1,
        word ^ 2,
        word ^ 4,
        word ^ 8,
        word ^ 0x1000,
        word ^ (uint64_t)1 << 32,
    };
    for (size_t i = 0; i < count_of(words); i++) {
        overwrite_word(chunk, words[i]);
        must_be_destroyed(chunk);
    }
    chunk_set_mapped(chunk, length + page);
    must_be_destroyed(chunk);
    chunk_set_mapped(chunk, 0);
    must_be_destroyed(chunk);
    chunk_set_mapped(chunk, length);
    totals_must_be(1, length);
    discard(chunk);
}

/* ---- resizing ----------------------------------------------------------- */

static void a_resized_block_keeps_its_contents(void **state)
{
    static const size_t alignments[] = {16, 512};
    static const size_t sizes[] = {50000, 3000000, 100000, 1, 200000, 200001};
    (void)state;
    for (size_t i = 0; i < count_of(alignments); i++) {
        struct chunk *chunk = allocate(alignments[i], 100);
        size_t offset = (uintptr_t)chunk % page;
        for (size_t j = 0; j < count_of(sizes); j++) {
            size_t old = usable(chunk);
            fill(chunk, (char)(j + 1));
            assert_int_equal(mapped_resize(&chunk, sizes[j]), MAPPED_OK);
            size_t now = usable(chunk);
            assert_true(now >= sizes[j] && now < sizes[j] + page);
            assert_int_equal((uintptr_t)chunk % page, offset);
            assert_true(is_filled(chunk, 0, min_size(old, now), (char)(j + 1)));
            assert_true(is_filled(chunk, min_size(old, now), now, 0));
            totals_must_be(1, now + CHUNK_HEADER_SIZE);
        }
        discard(chunk);
    }
}

/* What lies behind is taken: it must move. */
static void a_block_that_cannot_grow_moves(void **state)
{
    (void)state;
    struct chunk *chunk = allocate(16, 9 * page);
    fill(chunk, 3);
    assert_int_equal(mapped_resize(&chunk, page), MAPPED_OK);
    char *behind = (char *)chunk + usable(chunk) + CHUNK_HEADER_SIZE;
    assert_true(os_reserve_at(behind, page));
    struct chunk *moved = chunk;
    assert_int_equal(mapped_resize(&moved, 50 * page), MAPPED_OK);
    assert_ptr_not_equal(moved, chunk);
    assert_true(is_filled(moved, 0, page, 3));
    must_be_unknown(chunk);
    totals_must_be(1, usable(moved) + CHUNK_HEADER_SIZE);
    discard(moved);
    assert_true(os_unmap(behind, page));
}

static void within_its_pages_the_kernel_is_not_asked(void **state)
{
    (void)state;
    struct chunk *chunk = allocate(16, 100000);
    struct chunk *same = chunk;
    faulty_use(&no_remap);
    assert_int_equal(mapped_resize(&same, usable(chunk)), MAPPED_OK);
    assert_int_equal(mapped_resize(&same, usable(chunk) - 100), MAPPED_OK);
    assert_int_equal(faulty_calls_counted(), 0);
    faulty_use(NULL);
    assert_ptr_equal(same, chunk);
    discard(chunk);
}

static void a_refused_resize_leaves_it_as_it_was(void **state)
{
    static const size_t sizes[] = {1, 1 << 20, PTRDIFF_MAX};
    (void)state;
    struct chunk *chunk = allocate(16, 100000);
    size_t had = usable(chunk);
    fill(chunk, 9);
    for (size_t i = 0; i < count_of(sizes); i++) {
        struct chunk *same = chunk;
        faulty_use(&no_remap);
        errno = 77;
        assert_int_equal(mapped_resize(&same, sizes[i]), MAPPED_REFUSED);
        assert_int_equal(errno, 77);
        faulty_use(NULL);
        assert_ptr_equal(same, chunk);
        assert_int_equal(usable(chunk), had);
        assert_true(is_filled(chunk, 0, had, 9));
        totals_must_be(1, had + CHUNK_HEADER_SIZE);
    }
    discard(chunk);
}

/* ---- a kernel that does not unmap --------------------------------------- */

/* The limit of mappings makes munmap fail. The block is gone for the program,
 * and its memory waits, zero, for the next one. */
static void keep_and_reuse(unsigned kinds)
{
    const struct faulty_plan plan = {
        .kinds = kinds, .first = 1, .how_many = FAULTY_FOR_EVER};
    struct chunk *chunk = allocate(16, 20 * page);
    fill(chunk, 6);
    faulty_use(&plan);
    assert_int_equal(mapped_free(chunk), MAPPED_OK);
    assert_int_not_equal(faulty_calls_refused(), 0);
    totals_must_be(0, 0);
    must_be_unknown(chunk);
    must_be_unknown(chunk_at(chunk, 2));
    must_be_unknown(chunk_at(chunk, 4));
    struct chunk *larger = allocate(16, 30 * page);
    assert_ptr_not_equal(larger, chunk);
    struct chunk *again = allocate(16, 10 * page);
    assert_ptr_equal(again, chunk);
    assert_int_equal(usable(again), 21 * page - CHUNK_HEADER_SIZE);
    assert_true(is_filled(again, 0, usable(again), 0));
    totals_must_be(2, usable(again) + usable(larger) + 2 * CHUNK_HEADER_SIZE);
    faulty_use(NULL);
    long before = address_space();
    discard(again);
    assert_int_equal(address_space(), before - 21);
    discard(larger);
}

static void what_cannot_be_unmapped_is_kept_and_reused(void **state)
{
    (void)state;
    keep_and_reuse(FAULTY_MUNMAP);
    keep_and_reuse(FAULTY_MUNMAP | FAULTY_MADVISE);
}

static void kept_mappings_survive_the_growth_of_the_table(void **state)
{
    static struct chunk *chunks[600];
    (void)state;
    for (size_t i = 0; i < 100; i++) {
        chunks[i] = allocate(16, 4 * page);
    }
    faulty_use(&no_unmap);
    for (size_t i = 0; i < 100; i++) {
        discard(chunks[i]);
    }
    faulty_use(NULL);
    /* Those that they do not serve make the table grow. */
    for (size_t i = 100; i < 600; i++) {
        chunks[i] = allocate(16, 5 * page);
        assert_non_null(chunks[i]);
    }
    totals_must_be(500, 500 * 6 * page);
    long before = address_space();
    for (size_t i = 0; i < 100; i++) {
        chunks[i] = allocate(16, 4 * page);
    }
    assert_int_equal(address_space(), before);
    totals_must_be(600, 500 * 6 * page + 100 * 5 * page);
    for (size_t i = 0; i < 600; i++) {
        discard(chunks[i]);
    }
}

static void an_aligned_block_that_cannot_be_cut_out(void **state)
{
    const struct faulty_plan once = {
        .kinds = FAULTY_MUNMAP, .first = 1, .how_many = 1};
    (void)state;
    long before = address_space();
    faulty_use(&once);
    assert_null(allocate(1 << 20, page));
    assert_int_equal(faulty_calls_refused(), 1);
    assert_int_equal(address_space(), before);
    totals_must_be(0, 0);
    /* Not even as a whole can it be given back: it is kept. */
    faulty_use(&no_unmap);
    assert_null(allocate(1 << 20, page));
    totals_must_be(0, 0);
    faulty_use(NULL);
    long with_kept = address_space();
    assert_true(with_kept > before);
    struct chunk *chunk = allocate(16, page);
    assert_int_equal(address_space(), with_kept);
    assert_true(is_filled(chunk, 0, usable(chunk), 0));
    discard(chunk);
    assert_int_equal(address_space(), before);
}

/* ---- a kernel that does not map ----------------------------------------- */

static void a_refused_mapping_changes_nothing(void **state)
{
    static const size_t alignments[] = {16, 64, 1 << 20};
    (void)state;
    for (size_t i = 0; i < count_of(alignments); i++) {
        faulty_use(&no_map);
        errno = 77;
        assert_null(allocate(alignments[i], page));
        assert_int_equal(errno, 77);
        assert_int_not_equal(faulty_calls_refused(), 0);
        totals_must_be(0, 0);
    }
}

/* In a child with a table that nobody has used: at half of its slots, the
 * table has to grow before there can be another entry. */
static void meet_a_table_that_cannot_grow(void *unused)
{
    struct chunk *chunks[MAPPED_STATIC_SLOTS / 2];
    const void *where;
    (void)unused;
    for (size_t i = 0; i < count_of(chunks); i++) {
        chunks[i] = allocate(16, page);
        MUST(chunks[i] != NULL);
    }
    faulty_use(&no_map);
    MUST(allocate(16, page) == NULL);
    MUST(mapped_inspect(&where) == NULL);
    MUST(mapped_count() == count_of(chunks));
    /* Who gives memory back needs none. */
    for (size_t i = 0; i < count_of(chunks); i++) {
        MUST(mapped_free(chunks[i]) == MAPPED_OK);
        MUST(mapped_inspect(&where) == NULL);
    }
    MUST(mapped_count() == 0);
    faulty_use(NULL);
    struct chunk *chunk = allocate(16, page);
    MUST(chunk != NULL && mapped_free(chunk) == MAPPED_OK);
    MUST(mapped_inspect(&where) == NULL);
}

static void a_free_needs_no_memory(void **state)
{
    (void)state;
    child_must_succeed(meet_a_table_that_cannot_grow, NULL);
}

static void resize_at_half(void *unused)
{
    struct chunk *chunks[MAPPED_STATIC_SLOTS / 2];
    const void *where;
    (void)unused;
    for (size_t i = 0; i < count_of(chunks); i++) {
        chunks[i] = allocate(16, page);
        MUST(chunks[i] != NULL);
    }
    fill(chunks[5], 4);
    size_t had = usable(chunks[5]);
    struct chunk *chunk = chunks[5];
    faulty_use(&no_map);
    enum mapped_verdict verdict = mapped_resize(&chunk, 10 * page);
    MUST(verdict == MAPPED_OK || verdict == MAPPED_REFUSED);
    MUST(verdict == MAPPED_OK || (chunk == chunks[5] && usable(chunk) == had));
    MUST(is_filled(chunk, 0, had, 4));
    MUST(mapped_inspect(&where) == NULL);
    MUST(mapped_count() == count_of(chunks));
}

static void a_resize_finds_its_block_again_or_is_refused(void **state)
{
    (void)state;
    child_must_succeed(resize_at_half, NULL);
}

/* ---- mappings that are used again --------------------------------------- */

static void freed_mappings_are_used_again(void **state)
{
    bool is_zero = true;
    (void)state;
    option_set(OPTION_MAPPED_CACHE, DEFAULT_MAPPED_CACHE);
    struct chunk *chunk = allocate(16, 100 * page);
    fill(chunk, 5);
    long before = address_space();
    discard(chunk);
    assert_int_equal(address_space(), before);
    totals_must_be(0, 0);
    must_be_unknown(chunk);
    struct chunk *again = mapped_allocate(16, 90 * page, &is_zero);
    assert_ptr_equal(again, chunk);
    assert_false(is_zero);
    assert_in_range(usable(again), 90 * page, 101 * page - CHUNK_HEADER_SIZE);
    assert_true(is_filled(again, 0, usable(again), 5));
    totals_must_be(1, usable(again) + CHUNK_HEADER_SIZE);
    discard(again);
    /* Not for a request with an alignment. */
    struct chunk *aligned = allocate(1 << 20, 90 * page);
    assert_ptr_not_equal(aligned, chunk);
    discard(aligned);
    assert_true(mapped_trim());
    assert_int_equal(address_space(), before - 101);
    assert_false(mapped_trim());
}

/* Its pages are there already, so it is grown for a larger request. */
static void a_freed_mapping_grows(void **state)
{
    bool is_zero = true;
    (void)state;
    option_set(OPTION_MAPPED_CACHE, DEFAULT_MAPPED_CACHE);
    struct chunk *chunk = allocate(16, 100 * page);
    fill(chunk, 5);
    discard(chunk);
    chunk = mapped_allocate(16, 150 * page, &is_zero);
    assert_false(is_zero);
    assert_int_equal(usable(chunk), 151 * page - CHUNK_HEADER_SIZE);
    assert_true(is_filled(chunk, 0, 101 * page - CHUNK_HEADER_SIZE, 5));
    totals_must_be(1, 151 * page);
    discard(chunk);
}

/* A new one serves, and the other one stays for whom it is large enough. */
static void a_freed_mapping_that_cannot_grow_stays(void **state)
{
    bool is_zero = true;
    (void)state;
    option_set(OPTION_MAPPED_CACHE, DEFAULT_MAPPED_CACHE);
    struct chunk *chunk = allocate(16, 100 * page);
    discard(chunk);
    faulty_use(&no_remap);
    struct chunk *larger = allocate(16, 200 * page);
    assert_int_equal(faulty_calls_refused(), 1);
    assert_true(is_filled(larger, 0, usable(larger), 0));
    faulty_use(NULL);
    struct chunk *again = mapped_allocate(16, 90 * page, &is_zero);
    assert_ptr_equal(again, chunk);
    assert_false(is_zero);
    discard(again);
    discard(larger);
}

/* But not where it stands in the way of the new one. */
static void what_cannot_grow_goes_when_memory_is_short(void **state)
{
    const struct faulty_plan once = {
        .kinds = FAULTY_MREMAP | FAULTY_MMAP, .first = 1, .how_many = 2};
    const struct faulty_plan ever = {.kinds = FAULTY_MREMAP | FAULTY_MMAP,
                                     .first = 1,
                                     .how_many = FAULTY_FOR_EVER};
    (void)state;
    option_set(OPTION_MAPPED_CACHE, DEFAULT_MAPPED_CACHE);
    discard(allocate(16, 100 * page));
    faulty_use(&once);
    struct chunk *larger = allocate(16, 200 * page);
    assert_non_null(larger);
    assert_int_equal(faulty_calls_refused(), 2);
    faulty_use(NULL);
    assert_false(mapped_trim());
    totals_must_be(1, 201 * page);
    discard(larger);
    faulty_use(&ever);
    assert_null(allocate(16, 300 * page));
    assert_int_equal(faulty_calls_refused(), 3);
    faulty_use(NULL);
    assert_false(mapped_trim());
    totals_must_be(0, 0);
}

/* This test has no helper, so the first 16 MiB go at once; a vector that grows
 * to as many again has missed them. */
static void what_realloc_has_to_map_is_missed_too(void **state)
{
    bool is_zero = true;
    const size_t size = 16 << 20;
    (void)state;
    recent_forget();
    option_set(OPTION_MAPPED_CACHE, DEFAULT_MAPPED_CACHE);
    discard(allocate(16, size));
    assert_false(mapped_trim());
    struct chunk *chunk = allocate(16, page);
    assert_int_equal(mapped_resize(&chunk, size), MAPPED_OK);
    discard(chunk);
    struct chunk *again = mapped_allocate(16, size, &is_zero);
    assert_ptr_equal(again, chunk);
    assert_false(is_zero);
    discard(again);
}

/* Those that must go are unmapped, or kept in the table if they cannot be. */
static void trimming_without_unmapping(void **state)
{
    (void)state;
    option_set(OPTION_MAPPED_CACHE, DEFAULT_MAPPED_CACHE);
    struct chunk *chunk = allocate(16, 100 * page);
    fill(chunk, 5);
    discard(chunk);
    faulty_use(&no_unmap);
    assert_true(mapped_trim());
    assert_true(table_is_sound());
    faulty_use(NULL);
    struct chunk *again = allocate(16, page);
    assert_ptr_equal(again, chunk);
    assert_true(is_filled(again, 0, usable(again), 0));
    option_set(OPTION_MAPPED_CACHE, 0);
    discard(again);
}

/* ---- fork --------------------------------------------------------------- */

static struct chunk *forked[MAPPED_STATIC_SLOTS / 2];

static void make_the_table_grow_and_be_held(void *unused)
{
    (void)unused;
    faulty_hold_next_call(60000);
    struct chunk *chunk = allocate(16, page);
    MUST(chunk != NULL);
    discard(chunk);
}

static void use_the_table_in_the_child(void *unused)
{
    const void *where;
    (void)unused;
    lock_note_fork();
    struct chunk *chunk = allocate(16, page);
    MUST(chunk != NULL);
    MUST(mapped_inspect(&where) == NULL);
    MUST(mapped_count() == count_of(forked) + 1);
    for (size_t i = 0; i < count_of(forked); i++) {
        MUST(mapped_free(forked[i]) == MAPPED_OK);
    }
    MUST(mapped_free(chunk) == MAPPED_OK);
    MUST(mapped_count() == 0);
    MUST(mapped_inspect(&where) == NULL);
}

/* Another thread is held in the kernel with the table locked, since the table
 * grows just now. The child has to do without that thread. */
static void fork_while_the_table_grows(void *unused)
{
    struct actor other;
    (void)unused;
    for (size_t i = 0; i < count_of(forked); i++) {
        forked[i] = allocate(16, page);
    }
    actor_start(&other);
    actor_begin(&other, make_the_table_grow_and_be_held, NULL);
    while (faulty_threads_held() == 0) {
        sched_yield();
    }
    pid_t child = fork();
    if (child == 0) {
        trial_watch();
        use_the_table_in_the_child(NULL);
        _exit(0);
    }
    faulty_release();
    actor_finish(&other);
    actor_end(&other);
    trial_child_must_succeed(child);
    for (size_t i = 0; i < count_of(forked); i++) {
        MUST(mapped_free(forked[i]) == MAPPED_OK);
    }
}

static void the_child_repairs_the_table(void **state)
{
    (void)state;
    child_must_succeed(fork_while_the_table_grows, NULL);
}

#define mapped_test(name) cmocka_unit_test_teardown(name, nothing_is_mapped)

int main(void)
{
    const struct CMUnitTest tests[] = {
        mapped_test(a_free_needs_no_memory),
        mapped_test(a_resize_finds_its_block_again_or_is_refused),
        mapped_test(the_child_repairs_the_table),
        mapped_test(a_block_has_whole_pages),
        mapped_test(every_alignment_is_had),
        mapped_test(the_impossible_is_refused),
        mapped_test(the_most_is_remembered),
        mapped_test(thousands_are_found_again),
        mapped_test(a_table_of_few_stays_sound),
        mapped_test(other_addresses_are_unknown),
        mapped_test(a_header_is_checked_and_never_believed),
        mapped_test(a_resized_block_keeps_its_contents),
        mapped_test(a_block_that_cannot_grow_moves),
        mapped_test(within_its_pages_the_kernel_is_not_asked),
        mapped_test(a_refused_resize_leaves_it_as_it_was),
        mapped_test(what_cannot_be_unmapped_is_kept_and_reused),
        mapped_test(kept_mappings_survive_the_growth_of_the_table),
        mapped_test(an_aligned_block_that_cannot_be_cut_out),
        mapped_test(a_refused_mapping_changes_nothing),
        mapped_test(freed_mappings_are_used_again),
        mapped_test(a_freed_mapping_grows),
        mapped_test(a_freed_mapping_that_cannot_grow_stays),
        mapped_test(what_cannot_grow_goes_when_memory_is_short),
        mapped_test(what_realloc_has_to_map_is_missed_too),
        mapped_test(trimming_without_unmapping),
    };
    option_set(OPTION_MAPPED_CACHE, 0);
    page = os_page_size();
    return UNIT_RUN(tests);
}
