/*
 * chunk.c - the size word and its flags, the footer, and the way from a chunk
 * to its neighbours.
 */
#include "chunk.h"

#include "unit.h"

static _Alignas(MALLOC_ALIGNMENT) char memory[1024];

static struct chunk *at(size_t offset)
{
    return chunk_at(memory, offset);
}

static void mem_lies_16_bytes_behind_the_chunk(void **state)
{
    (void)state;
    assert_ptr_equal(chunk2mem(at(64)), memory + 80);
    assert_ptr_equal(mem2chunk(memory + 80), at(64));
}

static void the_word_stands_right_before_mem(void **state)
{
    (void)state;
    chunk_set_head(at(64), 0x230, CHUNK_NON_MAIN_ARENA | CHUNK_PREV_INUSE);
    uint32_t low;
    memcpy(&low, memory + 72, sizeof low);
    assert_int_equal(low, 0x235);
    assert_int_equal(chunk_low(at(64)), 0x235);
    assert_int_equal(chunk_word(at(64)),
                     (uint64_t)chunk_seal(at(64)) << 32 | 0x235);
}

static void each_flag_has_its_question(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags <= CHUNK_FLAGS; flags++) {
        chunk_set_head(at(0), 0x3f0, flags);
        assert_int_equal(chunk_size(at(0)), 0x3f0);
        assert_int_equal(chunk_prev_inuse(at(0)), (flags & 1) != 0);
        assert_int_equal(chunk_is_mmapped(at(0)), (flags & 2) != 0);
        assert_int_equal(chunk_non_main_arena(at(0)), (flags & 4) != 0);
        assert_int_equal(chunk_is_free(at(0)), (flags & 8) != 0);
    }
}

static void must_be(const struct chunk *chunk, uint32_t low)
{
    assert_int_equal(chunk_low(chunk), low);
    assert_true(chunk_is_sealed(chunk));
    assert_false(chunk_is_cached(chunk));
}

/* Each change touches its own bits and leaves the other ones alone. */
static void changes_leave_the_rest_alone(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags <= CHUNK_FLAGS; flags++) {
        struct chunk *chunk = at(0);
        chunk_set_head(chunk, 0x100, flags);
        must_be(chunk, 0x100 | flags);
        chunk_resize(chunk, 0x3ffffff0);
        must_be(chunk, 0x3ffffff0 | flags);
        chunk_mark_free(chunk);
        must_be(chunk, 0x3ffffff0 | flags | 8);
        chunk_mark_inuse(chunk);
        must_be(chunk, 0x3ffffff0 | (flags & 7));
        chunk_set_prev_inuse(chunk);
        must_be(chunk, 0x3ffffff0 | (flags & 7) | 1);
        chunk_clear_prev_inuse(chunk);
        must_be(chunk, 0x3ffffff0 | (flags & 6));
    }
}

/* Of the low half all but P, of the high half all, and the place. */
static void the_seal_covers_every_bit(void **state)
{
    struct chunk *chunk = at(0), *elsewhere = at(512);
    (void)state;
    for (unsigned flags = 0; flags <= CHUNK_FLAGS; flags++) {
        chunk_set_head(chunk, 0x5550, flags);
        uint64_t word = chunk_word(chunk);
        for (int bit = 1; bit < 64; bit++) {
            overwrite_word(chunk, word ^ (uint64_t)1 << bit);
            assert_false(chunk_is_sealed(chunk));
            assert_false(chunk_is_cached(chunk));
        }
        overwrite_word(chunk, word ^ CHUNK_PREV_INUSE);
        assert_true(chunk_is_sealed(chunk));
        overwrite_word(elsewhere, word);
        assert_false(chunk_is_sealed(elsewhere));
        assert_false(chunk_is_cached(elsewhere));
    }
}

/* IN USE, CACHED and F: what is one of them is none of the others. */
static void a_chunk_is_in_one_state(void **state)
{
    struct chunk *chunk = at(0);
    (void)state;
    chunk_set_head(chunk, 0x100, CHUNK_PREV_INUSE);
    uint32_t in_use = chunk_seal(chunk);
    assert_int_equal(in_use, chunk_seal_in_use(chunk, 0x100));
    chunk_flip_cached(chunk);
    assert_true(chunk_is_cached(chunk));
    assert_false(chunk_is_sealed(chunk));
    uint32_t cached = chunk_seal(chunk);
    chunk_flip_cached(chunk);
    assert_int_equal(chunk_seal(chunk), in_use);
    chunk_mark_free(chunk);
    uint32_t freed = chunk_seal(chunk);
    assert_true(freed != in_use && freed != cached && cached != in_use);
    chunk_store_seal(chunk, in_use);
    assert_false(chunk_is_sealed(chunk));
    chunk_store_seal(chunk, cached);
    assert_false(chunk_is_sealed(chunk));
}

static void the_footer_leads_back(void **state)
{
    (void)state;
    chunk_set_head(at(32), 0x60, CHUNK_IS_FREE | CHUNK_PREV_INUSE);
    chunk_set_head(at(32 + 0x60), 0x40, 0);
    assert_ptr_equal(chunk_next(at(32)), at(32 + 0x60));
    chunk_set_footer(at(32));
    assert_true(chunk_footer_matches(at(32)));
    assert_ptr_equal(chunk_previous(at(32 + 0x60)), at(32));
    at(32 + 0x60)->prev_size = 0x50;
    assert_false(chunk_footer_matches(at(32)));
}

static void a_mapping_keeps_its_length_in_prev_size(void **state)
{
    (void)state;
    chunk_set_mapped(at(0), 0x123456789000);
    assert_true(chunk_is_mmapped(at(0)));
    assert_int_equal(chunk_low(at(0)), CHUNK_IS_MMAPPED);
    assert_true(chunk_is_sealed(at(0)));
    assert_true(chunk_is_mapped_with(at(0), 0x123456789000));
    assert_false(chunk_is_mapped_with(at(0), 0x123456788000));
    chunk_set_prev_inuse(at(0));
    assert_false(chunk_is_mapped_with(at(0), 0x123456789000));
}

static void only_words_of_this_arena_are_plausible(void **state)
{
    static const struct {
        uint32_t low;
        bool in_main, in_other;
    } cases[] = {
        {0x20 | 1, true, false},   {0x20 | 8, true, false},
        {0x20 | 4, false, true},   {0x20 | 4 | 8 | 1, false, true},
        {0x20 | 2, false, false},  {0x20 | 2 | 4, false, false},
        {0x10 | 1, false, false},  {0x10 | 4, false, false},
        {0, false, false},         {0xfffffff0, true, false},
        {0x6861202c, false, true},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        uint32_t low = cases[i].low;
        assert_int_equal(low_is_plausible(low, 0), cases[i].in_main);
        assert_int_equal(low_is_plausible(low, CHUNK_NON_MAIN_ARENA),
                         cases[i].in_other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mem_lies_16_bytes_behind_the_chunk),
        cmocka_unit_test(the_word_stands_right_before_mem),
        cmocka_unit_test(each_flag_has_its_question),
        cmocka_unit_test(changes_leave_the_rest_alone),
        cmocka_unit_test(the_seal_covers_every_bit),
        cmocka_unit_test(a_chunk_is_in_one_state),
        cmocka_unit_test(the_footer_leads_back),
        cmocka_unit_test(a_mapping_keeps_its_length_in_prev_size),
        cmocka_unit_test(only_words_of_this_arena_are_plausible),
    };
    seal_prepare();
    return UNIT_RUN(tests);
}
