/*
 * bins.c - the free chunks by size: what a search finds, what it must never
 * give, and what it does with links that were overwritten.
 *
 * The chunks lie in memory of the test's own, at places that no heap has. Its
 * slots of the owner table carry the number of the bins, so that links may be
 * followed there.
 */
#include "bins.h"

#include "unit.h"

#include <sys/mman.h>

#include "child.h"
#include "owner.h"
#include "rng.h"

enum {
    OWNER = 9,
    POOL_HEAPS = 16, /* 64 MiB each */
};

static struct bins bins;
static struct {
    char *start;
    size_t used;
} pool;

static void map_pool(void)
{
    size_t size = (POOL_HEAPS + 1) * HEAP_MAX_SIZE;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(memory != MAP_FAILED);
    pool.start = (char *)round_up((uintptr_t)memory, HEAP_MAX_SIZE);
    for (size_t i = 0; i < POOL_HEAPS; i++) {
        owner_set(pool.start + i * HEAP_MAX_SIZE, OWNER);
    }
}

static int begin_anew(void **state)
{
    (void)state;
    memset(&bins, 0, sizeof bins);
    bins.owner = OWNER;
    pool.used = 0;
    return 0;
}

/* A free chunk that is in no bin yet. One header of room lies behind it. */
static struct chunk *new_chunk(size_t size)
{
    struct chunk *chunk = chunk_at(pool.start, pool.used);
    pool.used += size + CHUNK_HEADER_SIZE;
    MUST(pool.used <= POOL_HEAPS * HEAP_MAX_SIZE);
    chunk_set_head(chunk, size, CHUNK_IS_FREE | CHUNK_PREV_INUSE);
    chunk_set_footer(chunk);
    return chunk;
}

static struct chunk *insert(size_t size)
{
    struct chunk *chunk = new_chunk(size);
    bins_insert(&bins, chunk);
    return chunk;
}

static void must_be_empty(void)
{
    unsigned position = 0;
    assert_int_equal(bins.count, 0);
    assert_int_equal(bins.bytes, 0);
    assert_int_equal(bins.exact_map, 0);
    assert_int_equal(bins.octave_map, 0);
    assert_null(bins_first_from(&bins, &position));
    assert_int_equal(position, BIN_POSITIONS);
}

/* ---- what a search finds ------------------------------------------------ */

static void empty_bins_give_nothing(void **state)
{
    (void)state;
    must_be_empty();
    assert_null(bins_take(&bins, MIN_CHUNK_SIZE));
    assert_null(bins_take(&bins, 1008));
    assert_null(bins_take(&bins, 1024));
    assert_null(bins_take(&bins, CHUNK_SIZE_MAX));
}

static void what_went_in_comes_out(void **state)
{
    static const size_t sizes[] = {
        32, 48, 1008, 1024, 1040, 1 << 20, HEAP_MAX_SIZE - 4096};
    (void)state;
    for (size_t i = 0; i < count_of(sizes); i++) {
        struct chunk *chunk = insert(sizes[i]);
        assert_int_equal(bins.count, 1);
        assert_int_equal(bins.bytes, sizes[i]);
        assert_ptr_equal(bins_take(&bins, sizes[i]), chunk);
        assert_true(chunk_is_free(chunk));
        must_be_empty();
        bins_insert(&bins, chunk);
        bins_remove(&bins, chunk);
        must_be_empty();
    }
}

/* Around each of these, the sizes that a bin or a map divides. */
static const size_t boundaries[] = {
    48,      512,     1008,     1024,    1040,    1056,    1072,    2032,
    2048,    2064,    2112,     4096,    4224,    8192,    1 << 14, 1 << 15,
    1 << 16, 1 << 20, 33 << 15, 1 << 22, 1 << 24, 1 << 25, 3 << 24, 63 << 20,
};

static void one_that_is_too_small_is_not_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < count_of(boundaries); i++) {
        begin_anew(NULL);
        insert(boundaries[i] - 16);
        assert_null(bins_take(&bins, boundaries[i]));
        assert_int_equal(bins.count, 1);
    }
}

static void the_exact_one_is_found_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < count_of(boundaries); i++) {
        begin_anew(NULL);
        struct chunk *chunk = insert(boundaries[i]);
        assert_ptr_equal(bins_take(&bins, boundaries[i]), chunk);
        must_be_empty();
    }
}

/* The smaller one lies on top of its bin, where a careless search looks. */
static void a_larger_one_is_found_beside_a_smaller(void **state)
{
    (void)state;
    for (size_t i = 0; i < count_of(boundaries); i++) {
        begin_anew(NULL);
        struct chunk *large = insert(boundaries[i] + 16);
        struct chunk *small = insert(boundaries[i] - 16);
        assert_ptr_equal(bins_take(&bins, boundaries[i]), large);
        assert_ptr_equal(bins_take(&bins, boundaries[i] - 16), small);
        must_be_empty();
    }
}

static void the_smallest_exact_bin_serves(void **state)
{
    (void)state;
    insert(1 << 20);
    insert(1024);
    struct chunk *chunks[64] = {NULL};
    for (size_t size = 96; size <= 1008; size += 48) {
        chunks[size / 16] = insert(size);
    }
    for (size_t size = 96; size <= 1008; size += 48) {
        assert_ptr_equal(bins_take(&bins, size - 32), chunks[size / 16]);
    }
    assert_int_equal(chunk_size(bins_take(&bins, 1008)), 1024);
    assert_int_equal(chunk_size(bins_take(&bins, 32)), 1 << 20);
    must_be_empty();
}

static void the_smallest_larger_bin_serves(void **state)
{
    static const size_t sizes[] = {1040, 1056, 2048, 4160, 1 << 16, 1 << 22};
    (void)state;
    for (size_t i = count_of(sizes); i-- > 0;) {
        insert(sizes[i]);
    }
    for (size_t i = 0; i < count_of(sizes); i++) {
        struct chunk *chunk = bins_take(&bins, 1024);
        assert_int_equal(chunk_size(chunk), sizes[i]);
    }
    must_be_empty();
}

static void the_newest_comes_first(void **state)
{
    static const size_t sizes[] = {64, 4096};
    (void)state;
    for (size_t i = 0; i < count_of(sizes); i++) {
        struct chunk *first = insert(sizes[i]);
        struct chunk *second = insert(sizes[i]);
        struct chunk *third = insert(sizes[i]);
        bins_remove(&bins, second);
        assert_ptr_equal(bins_take(&bins, sizes[i]), third);
        assert_ptr_equal(bins_take(&bins, sizes[i]), first);
        must_be_empty();
    }
}

/* A chunk that would do is not searched for behind others that are too small:
 * the fourth is seen, the fifth is not. */
static void a_search_is_bounded(void **state)
{
    (void)state;
    struct chunk *good = insert(4208);
    for (int i = 1; i < BIN_PEEK_LIMIT; i++) {
        insert(4096);
    }
    assert_ptr_equal(bins_take(&bins, 4208), good);
    bins_insert(&bins, good);
    assert_ptr_equal(bins_take(&bins, 4208), good);
    begin_anew(NULL);
    insert(4208);
    for (int i = 0; i < BIN_PEEK_LIMIT; i++) {
        insert(4096);
    }
    assert_null(bins_take(&bins, 4208));
    /* The next bin serves. */
    struct chunk *next = insert(4224);
    assert_ptr_equal(bins_take(&bins, 4208), next);
    assert_int_equal(bins.count, 1 + BIN_PEEK_LIMIT);
}

/* ---- against a model ---------------------------------------------------- */

enum {
    CHUNKS = 300,
    STEPS = 30000,
};

static struct {
    struct chunk *chunk;
    bool is_in;
} model[CHUNKS];

static size_t random_size(struct rng *rng)
{
    size_t most = (size_t)64 << rng_below(rng, 16);
    return round_up(MIN_CHUNK_SIZE + rng_below(rng, most), MALLOC_ALIGNMENT);
}

/* The position of the first bin, from this one, in which the model has a chunk
 * of at least `size`. */
static unsigned model_best(size_t size, unsigned from)
{
    unsigned best = BIN_POSITIONS;
    for (int i = 0; i < CHUNKS; i++) {
        size_t has = chunk_size(model[i].chunk);
        unsigned position = bins_position_of(has);
        if (model[i].is_in && has >= size && position >= from &&
            position < best) {
            best = position;
        }
    }
    return best;
}

static void take_and_compare(size_t size)
{
    struct chunk *chunk = bins_take(&bins, size);
    unsigned own = bins_position_of(size);
    unsigned next = model_best(size, size_has_exact_bin(size) ? own : own + 1);
    if (chunk == NULL) {
        MUST(next == BIN_POSITIONS);
        return;
    }
    unsigned got = bins_position_of(chunk_size(chunk));
    MUST(chunk_size(chunk) >= size);
    MUST(got == own || got == next);
    for (int i = 0; i < CHUNKS; i++) {
        if (model[i].chunk == chunk) {
            MUST(model[i].is_in);
            model[i].is_in = false;
            return;
        }
    }
    MUST(!"a chunk of ours");
}

static void compare_all(void)
{
    size_t counts[BIN_POSITIONS] = {0};
    size_t count = 0, bytes = 0;
    for (int i = 0; i < CHUNKS; i++) {
        if (model[i].is_in) {
            size_t size = chunk_size(model[i].chunk);
            counts[bins_position_of(size)]++;
            count++;
            bytes += size;
        }
    }
    MUST(bins.count == count && bins.bytes == bytes);
    MUST(bins_maps_agree(&bins));
    for (unsigned position = 0; position < BIN_POSITIONS; position++) {
        unsigned at = position;
        struct chunk *chunk = bins_first_from(&bins, &at);
        MUST(bins_map_says(&bins, position) == (counts[position] > 0));
        MUST((at == position) == (counts[position] > 0));
        for (; at == position && chunk != NULL;
             chunk = chunk_next_free(chunk)) {
            MUST(bins_position_of(chunk_size(chunk)) == position);
            counts[position]--;
        }
        MUST(counts[position] == 0);
    }
}

static void random_steps_agree_with_a_model(void **state)
{
    struct rng rng = {20};
    (void)state;
    for (int i = 0; i < CHUNKS; i++) {
        model[i].chunk = new_chunk(random_size(&rng));
        model[i].is_in = false;
    }
    for (int step = 0; step < STEPS; step++) {
        int i = (int)rng_below(&rng, CHUNKS);
        if (rng_below(&rng, 3) == 0) {
            take_and_compare(random_size(&rng));
        } else if (model[i].is_in && rng_below(&rng, 2) == 0) {
            bins_remove(&bins, model[i].chunk);
            model[i].is_in = false;
        } else if (!model[i].is_in) {
            bins_insert(&bins, model[i].chunk);
            model[i].is_in = true;
        }
        if (step % 16 == 0) {
            compare_all();
        }
    }
}

/* ---- for those who look at every bin ------------------------------------ */

static void positions_rise_with_sizes(void **state)
{
    (void)state;
    unsigned last = 1;
    for (size_t size = MIN_CHUNK_SIZE; size < HEAP_MAX_SIZE; size += 16) {
        unsigned position = bins_position_of(size);
        MUST(position == last || position == last + 1);
        last = position;
    }
    assert_int_equal(last, BIN_POSITIONS - 1);
}

static void every_bin_is_visited_in_order(void **state)
{
    unsigned position = 0;
    (void)state;
    for (size_t i = 0; i < count_of(boundaries); i++) {
        insert(boundaries[i] - 16);
        insert(boundaries[i]);
    }
    size_t count = 0, last = 0;
    struct chunk *chunk;
    while ((chunk = bins_first_from(&bins, &position)) != NULL) {
        assert_true(chunk_size(chunk) > last);
        for (; chunk != NULL; chunk = chunk_next_free(chunk)) {
            assert_int_equal(bins_position_of(chunk_size(chunk)), position);
            last = max_size(last, chunk_size(chunk));
            count++;
        }
        position++;
    }
    assert_int_equal(count, 2 * count_of(boundaries));
}

static void maps_that_disagree_are_noticed(void **state)
{
    (void)state;
    insert(4096);
    assert_true(bins_maps_agree(&bins));
    bins.octave_map ^= 1u << 2;
    assert_false(bins_maps_agree(&bins));
    bins.octave_map ^= 1u << 2;
    bins.octave_map ^= 1u << 15;
    assert_false(bins_maps_agree(&bins));
}

/* ---- overwritten links and words ---------------------------------------- */

/* Three chunks of one bin; the middle one is what the bodies below spoil. */
static struct chunk *first, *middle, *last;

static void fill_one_bin(size_t size)
{
    begin_anew(NULL);
    last = insert(size);
    middle = insert(size);
    first = insert(size);
}

static void remove_chunk(void *chunk)
{
    bins_remove(&bins, chunk);
}

static void insert_one_more(void *chunk)
{
    bins_insert(&bins, chunk);
}

static void take_1040(void *unused)
{
    (void)unused;
    bins_take(&bins, 1040);
}

static void take_64(void *unused)
{
    (void)unused;
    bins_take(&bins, 64);
}

static void must_break(child_body *body, void *argument,
                       const struct chunk *named)
{
    child_must_abort(body, argument,
                     "ptm: heap: broken free list: address 0x%zx, "
                     "size %zu, arena %d",
                     (size_t)chunk2mem(named), chunk_size(named) - 8, OWNER);
}

static void a_link_to_nowhere_is_not_followed(void **state)
{
    static const uintptr_t nowhere[] = {
        1, 16, 0x4141414141414141, UINTPTR_MAX, (uintptr_t)&bins,
    };
    (void)state;
    for (size_t i = 0; i < count_of(nowhere); i++) {
        fill_one_bin(64);
        link_write(&middle->next_free, (void *)nowhere[i]);
        must_break(remove_chunk, middle, middle);
        fill_one_bin(64);
        link_write(&middle->previous_free, (void *)nowhere[i]);
        must_break(remove_chunk, middle, middle);
    }
    fill_one_bin(64);
    link_write(&middle->next_free, (void *)((uintptr_t)last + 8));
    must_break(remove_chunk, middle, middle);
}

static void links_must_agree_on_both_sides(void **state)
{
    (void)state;
    fill_one_bin(64);
    link_write(&middle->next_free, first);
    must_break(remove_chunk, middle, middle);
    fill_one_bin(64);
    link_write(&middle->previous_free, last);
    must_break(remove_chunk, middle, middle);
    fill_one_bin(64);
    link_write(&middle->previous_free, NULL);
    must_break(remove_chunk, middle, middle);
    fill_one_bin(64);
    link_write(&first->previous_free, middle);
    must_break(remove_chunk, first, first);
    must_break(insert_one_more, new_chunk(64), first);
    fill_one_bin(64);
    link_write(&last->previous_free, first);
    must_break(remove_chunk, middle, middle);
}

/* A word that was written over a free chunk does not count. */
static void a_word_that_was_overwritten_is_noticed(void **state)
{
    static const uint64_t changes[] = {
        16, 32, CHUNK_NON_MAIN_ARENA, CHUNK_IS_FREE, (uint64_t)1 << 33,
    };
    (void)state;
    for (size_t i = 0; i < count_of(changes); i++) {
        fill_one_bin(64);
        overwrite_word(first, chunk_word(first) ^ changes[i]);
        must_break(take_64, NULL, first);
        fill_one_bin(64);
        overwrite_word(middle, chunk_word(middle) ^ changes[i]);
        must_break(remove_chunk, middle, middle);
    }
    /* One of ours, but of a chunk that is in use. */
    fill_one_bin(64);
    chunk_mark_inuse(first);
    must_break(take_64, NULL, first);
}

static void a_link_met_by_a_search_is_not_followed(void **state)
{
    (void)state;
    begin_anew(NULL);
    insert(1040);
    struct chunk *chunk = insert(1024);
    link_write(&chunk->next_free, (void *)0x4141414141414140);
    child_must_abort(take_1040, NULL,
                     "ptm: heap: broken free list: address 0x%zx, "
                     "size 1016, arena 9",
                     (size_t)chunk2mem(chunk));
}

/* A free chunk without its footer is our own error, not the program's. */
static void a_chunk_without_footer_is_not_inserted(void **state)
{
    (void)state;
    struct chunk *chunk = new_chunk(64);
    chunk_next(chunk)->prev_size = 0;
    child_must_fail_assertion(
        insert_one_more, chunk,
        "chunk_is_free(chunk) && chunk_footer_matches(chunk)");
    chunk = new_chunk(64);
    chunk_mark_inuse(chunk);
    child_must_fail_assertion(
        insert_one_more, chunk,
        "chunk_is_free(chunk) && chunk_footer_matches(chunk)");
}

#define bins_test(name) cmocka_unit_test_setup(name, begin_anew)

int main(void)
{
    const struct CMUnitTest tests[] = {
        bins_test(empty_bins_give_nothing),
        bins_test(what_went_in_comes_out),
        bins_test(one_that_is_too_small_is_not_taken),
        bins_test(the_exact_one_is_found_alone),
        bins_test(a_larger_one_is_found_beside_a_smaller),
        bins_test(the_smallest_exact_bin_serves),
        bins_test(the_smallest_larger_bin_serves),
        bins_test(the_newest_comes_first),
        bins_test(a_search_is_bounded),
        bins_test(random_steps_agree_with_a_model),
        bins_test(positions_rise_with_sizes),
        bins_test(every_bin_is_visited_in_order),
        bins_test(maps_that_disagree_are_noticed),
        bins_test(a_link_to_nowhere_is_not_followed),
        bins_test(links_must_agree_on_both_sides),
        bins_test(a_word_that_was_overwritten_is_noticed),
        bins_test(a_link_met_by_a_search_is_not_followed),
        bins_test(a_chunk_without_footer_is_not_inserted),
    };
    seal_prepare();
    map_pool();
    return UNIT_RUN(tests);
}
