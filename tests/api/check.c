/*
 * ptm_check: says 0 of a sound heap, and names in one line what is wrong with
 * a damaged one, without ending the program. The damage is done here by hand
 * and mended again.
 */
#include "api.h"

#include <stdio.h>

static char line[1024];

/* ptm_check's result; what it wrote is in `line`. */
static int check_quietly(void)
{
    int ends[2];
    int kept = dup(2);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], 2);
    int result = ptm_check();
    dup2(kept, 2);
    close(kept);
    close(ends[1]);
    ssize_t length = read(ends[0], line, sizeof line - 1);
    line[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    return result;
}

static void assert_one_line(void)
{
    assert_memory_equal(line, "ptm: ", 5);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

/* Whether the heap is found damaged while a word of it has another value, and
 * sound again afterwards. */
static void assert_damage_is_found(uint64_t *word, uint64_t forged)
{
    uint64_t kept = *word;
    assert_int_not_equal(forged, kept);
    errno = 1234;
    *(volatile uint64_t *)word = forged;
    int result = check_quietly();
    *(volatile uint64_t *)word = kept;
    assert_int_equal(errno, 1234);
    assert_int_equal(result, -1);
    assert_one_line();
    assert_int_equal(check_quietly(), 0);
    assert_string_equal(line, "");
}

/* The size word lies before the block, the footer of a chunk before that. */
static uint64_t *word_before(void *block)
{
    return (uint64_t *)((uintptr_t)block - 8);
}

static void a_heap_full_of_everything_is_sound(void **state)
{
    (void)state;
    enum { BLOCKS = 500 };
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = i % 50 == 0 ? malloc(MAPPED_BLOCK)
                                : memalign((size_t)16 << i % 10, i * i);
    }
    for (int i = 0; i < BLOCKS; i += 3) {
        free(blocks[i]);
    }
    assert_int_equal(check_quietly(), 0);
    assert_string_equal(line, "");
    for (int i = 0; i < BLOCKS; i++) {
        if (i % 3 != 0) {
            free(blocks[i]);
        }
    }
    assert_int_equal(check_quietly(), 0);
    assert_string_equal(line, "");
}

static void a_destroyed_size_word_is_found(void **state)
{
    (void)state;
    void *block = malloc(100);
    void *guard = malloc(100);
    uint64_t *word = word_before(block);
    assert_damage_is_found(word, 0);
    assert_damage_is_found(word, 0x4141414141414141);
    assert_damage_is_found(word, *word + 16);
    assert_damage_is_found(word, *word ^ (uint64_t)1 << 40);
    assert_damage_is_found(word, *word ^ (uint64_t)1 << 63);
    assert_damage_is_found(word, *word ^ (uint64_t)1 << 32);
    assert_damage_is_found(word, *word ^ 1);
    assert_damage_is_found(word, *word ^ 2);
    assert_damage_is_found(word, *word ^ 4);
    assert_damage_is_found(word, *word ^ 8);
    free(block);
    free(guard);
}

static void a_destroyed_cached_block_is_found(void **state)
{
    (void)state;
    void *block = malloc(100);
    void *guard = malloc(100);
    free(block);
    uint64_t *word = word_before(opaque(block));
    assert_damage_is_found(word, 0);
    assert_damage_is_found(word, *word ^ 16);
    assert_damage_is_found(word, *word ^ 8);
    assert_damage_is_found(word, *word ^ (uint64_t)1 << 50);
    free(guard);
}

enum {
    MANY = 400,
};

static void *many[MANY];

static void allocate_many(size_t size)
{
    for (int i = 0; i < MANY; i++) {
        many[i] = malloc(size);
        assert_non_null(many[i]);
    }
}

static void free_many(void)
{
    for (int i = 0; i < MANY; i++) {
        free(many[i]);
    }
}

/* What was freed first has gone from the cache to the depot, where it must be
 * marked as cached. */
static void a_destroyed_chunk_in_the_depot_is_found(void **state)
{
    (void)state;
    if (!caches_are_on()) {
        skip();
    }
    settle();
    allocate_many(RUN_OBJECT_MAX + 1);
    uint64_t *word = word_before(many[0]);
    uint64_t in_use = *word;
    for (int i = 0; i < 100; i++) {
        free(many[i]);
    }
    assert_damage_is_found(word, *word ^ (uint64_t)1 << 50);
    assert_damage_is_found(word, in_use);
    for (int i = 100; i < MANY; i++) {
        free(many[i]);
    }
}

/* Usable sizes of chunks are 8 more than a multiple of 16. */
static bool is_object(void *block)
{
    return malloc_usable_size(block) % 16 == 0;
}

/* An object there has a mark instead, in its second word. */
static void a_destroyed_object_in_the_depot_is_found(void **state)
{
    (void)state;
    if (!runs_are_on()) {
        skip();
    }
    settle();
    allocate_many(100);
    int first = 0;
    while (!is_object(many[first])) {
        assert_true(++first < MANY / 2);
    }
    free_many();
    uint64_t *mark = (uint64_t *)opaque(many[first]) + 1;
    assert_damage_is_found(mark, 0);
    assert_damage_is_found(mark, *mark ^ 1);
    assert_damage_is_found(mark, *mark ^ (uint64_t)1 << 63);
    assert_damage_is_found(mark, *mark + 16);
}

static bool follows(const char *block, void *below)
{
    return block == (char *)below + malloc_usable_size(below) + 8;
}

/* Of blocks that have been allocated one after the other, the first that has
 * neighbours on both sides. */
static int first_between(void)
{
    int i = 1;
    while (!follows(many[i], many[i - 1]) || !follows(many[i + 1], many[i])) {
        assert_true(++i < MANY - 1);
    }
    return i;
}

static void a_destroyed_free_chunk_is_found(void **state)
{
    (void)state;
    settle();
    allocate_many(HEAP_BLOCK);
    int between = first_between();
    uint64_t *block = many[between];
    void *above = many[between + 1];
    uint64_t *footer = word_before(above) - 1;
    free(block);
    many[between] = NULL;
    settle();
    block = opaque(block);
    assert_damage_is_found(word_before(block), *word_before(block) - 16);
    assert_damage_is_found(word_before(block), *word_before(block) & ~8ull);
    assert_damage_is_found(footer, *footer + 16);
    assert_damage_is_found(&block[0], block[0] ^ 16);
    assert_damage_is_found(&block[1], block[1] ^ 16);
    assert_damage_is_found(word_before(above), *word_before(above) ^ 1);
    free_many();
}

static void a_destroyed_mapping_is_found(void **state)
{
    (void)state;
    void *block = malloc(MAPPED_BLOCK);
    uint64_t *word = word_before(block);
    assert_damage_is_found(word, 0);
    assert_damage_is_found(word, *word | 1);
    assert_damage_is_found(word - 1, word[-1] + 4096);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(a_heap_full_of_everything_is_sound),
        api_test(a_destroyed_size_word_is_found),
        api_test(a_destroyed_cached_block_is_found),
        api_test(a_destroyed_chunk_in_the_depot_is_found),
        api_test(a_destroyed_object_in_the_depot_is_found),
        api_test(a_destroyed_free_chunk_is_found),
        api_test(a_destroyed_mapping_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
