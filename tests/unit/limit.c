/*
 * limit.c - before the process grows beyond its limit, all goes back that is
 * free. How much room there is, is for the test to say.
 */
#include "limit.h"

#include "unit.h"

#include <sys/mman.h>

#include "alloc.h"
#include "arenas.h"
#include "child.h"
#include "inspect.h"
#include "options.h"
#include "os.h"
#include "purge.h"
#include "tcache.h"

static struct os_memory cgroup;
static size_t own;
static unsigned looks;

struct os_memory __wrap_os_cgroup_memory(void);
size_t __wrap_os_own_memory(void);

struct os_memory __wrap_os_cgroup_memory(void)
{
    looks++;
    return cgroup;
}

size_t __wrap_os_own_memory(void)
{
    return own;
}

static int begin(void **state)
{
    (void)state;
    cgroup = (struct os_memory){SIZE_MAX, SIZE_MAX};
    own = 0;
    looks = 0;
    memory_limit.was_seen = false;
    option_set(OPTION_MEMORY_LIMIT, 0);
    return 0;
}

/* How much may be got after this before it is time to look again. */
static size_t allowance(void)
{
    size_t bytes = 0;
    while (!limit_is_due()) {
        limit_note_growth(4096);
        bytes += 4096;
    }
    return bytes;
}

static void without_a_limit_it_looks_once(void **state)
{
    (void)state;
    assert_true(limit_look());
    assert_false(limit_is_tight());
    limit_note_growth((size_t)1 << 46);
    limit_note_growth(0);
    assert_false(limit_is_due());
}

/* As where no file can be opened any more. */
static void a_limit_that_is_not_seen_again_is_looked_for(void **state)
{
    const size_t mib = 1 << 20;
    (void)state;
    cgroup = (struct os_memory){100 * mib, 40 * mib};
    assert_true(limit_look());
    cgroup = (struct os_memory){SIZE_MAX, SIZE_MAX};
    assert_true(limit_look());
    assert_in_range(allowance(), LIMIT_LOOK, LIMIT_LOOK + 4096);
    cgroup = (struct os_memory){100 * mib, 40 * mib};
    assert_true(limit_look());
    assert_in_range(allowance(), 20 * mib, 20 * mib + 4096);
}

static void half_of_the_room_may_be_got(void **state)
{
    const size_t mib = 1 << 20;
    (void)state;
    cgroup = (struct os_memory){100 * mib, 40 * mib};
    assert_true(limit_look());
    assert_in_range(allowance(), 20 * mib, 20 * mib + 4096);
    cgroup = (struct os_memory){SIZE_MAX / 4, SIZE_MAX / 8};
    assert_true(limit_look());
    assert_in_range(allowance(), LIMIT_LOOK, LIMIT_LOOK + 4096);
}

static void without_room_it_is_tight(void **state)
{
    const size_t mib = 1 << 20;
    (void)state;
    cgroup = (struct os_memory){320 * mib, 10 * mib};
    assert_false(limit_look());
    assert_true(limit_is_tight());
    assert_in_range(allowance(), 10 * mib, 10 * mib + 4096);
    cgroup.room = 0;
    assert_false(limit_look());
    assert_in_range(allowance(), 10 * mib, 10 * mib + 4096);
    cgroup = (struct os_memory){0, 0};
    assert_false(limit_look());
    assert_in_range(allowance(), LIMIT_STEP_MIN, LIMIT_STEP_MIN + 4096);
    cgroup = (struct os_memory){320 * mib, 320 * mib};
    assert_true(limit_look());
    assert_false(limit_is_tight());
}

static void the_option_counts_what_the_process_has(void **state)
{
    const size_t mib = 1 << 20;
    (void)state;
    option_set(OPTION_MEMORY_LIMIT, 64 * mib);
    own = 24 * mib;
    assert_true(limit_look());
    assert_in_range(allowance(), 20 * mib, 20 * mib + 4096);
    own = 100 * mib;
    assert_false(limit_look());
    assert_in_range(allowance(), 2 * mib, 2 * mib + 4096);
    /* The tighter one of the two. */
    own = 24 * mib;
    cgroup = (struct os_memory){mib << 10, 2 * mib};
    assert_false(limit_look());
    assert_in_range(allowance(), 32 * mib, 32 * mib + 4096);
}

static void a_new_limit_is_looked_at_soon(void **state)
{
    (void)state;
    limit_look();
    assert_false(limit_is_due());
    limit_reset();
    assert_true(limit_is_due());
}

/* ---- what is done about it ----------------------------------------------- */

enum {
    BLOCK = 100000,
    BLOCKS = 64,
    MAPPED = 4 << 20,
};

static size_t resident(const void *start, size_t bytes)
{
    size_t page = os_page_size(), count = 0;
    uintptr_t at = round_up((uintptr_t)start, page);
    for (; at + page <= (uintptr_t)start + bytes; at += page) {
        unsigned char in_core;
        count += mincore((void *)at, page, &in_core) == 0 && (in_core & 1);
    }
    return count * page;
}

static void *allocate_filled(size_t size)
{
    void *block = alloc_malloc(size);
    MUST(block != NULL);
    memset(block, 1, size);
    return block;
}

/* Free, and recent, but all still there: between blocks in use, and in top. */
static void *leave_garbage(void *kept[2])
{
    void *blocks[BLOCKS];
    option_set(OPTION_TRIM_THRESHOLD, SIZE_MAX);
    option_set(OPTION_TCACHE_MAX, 0);
    tcache_set_limits();
    kept[0] = allocate_filled(BLOCK);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = allocate_filled(BLOCK);
    }
    kept[1] = allocate_filled(BLOCK);
    for (int i = 0; i < BLOCKS; i++) {
        alloc_free(blocks[i]);
    }
    MUST(resident(blocks[0], (size_t)BLOCK * BLOCKS) >= BLOCK * (BLOCKS - 2));
    return blocks[0];
}

static void must_be_sound(void)
{
    struct damage damage;
    MUST(inspect_everything(&damage));
}

typedef void *grow_function(void *block);

static void *grow_by_mapping(void *block)
{
    (void)block;
    return alloc_malloc(MAPPED);
}

static void *grow_by_heap(void *block)
{
    (void)block;
    void *mem = NULL;
    for (int i = 0; i < 2 * BLOCKS; i++) {
        mem = alloc_malloc(BLOCK + 50000);
    }
    return mem;
}

static void *grow_by_realloc(void *block)
{
    return alloc_realloc(block, 16 * MAPPED);
}

static void *grow_by_a_mapping_that_moves(void *block)
{
    (void)block;
    return alloc_realloc(alloc_malloc(MAPPED), 8 * MAPPED);
}

/* A limit that has no room left. */
static void grow_with_garbage(void *grow)
{
    void *kept[2];
    char *garbage = leave_garbage(kept);
    cgroup = (struct os_memory){64 << 20, 0};
    limit_reset();
    unsigned before = looks;
    MUST(((grow_function *)grow)(kept[1]) != NULL);
    MUST(looks > before);
    /* New blocks may have their headers there. */
    MUST(resident(garbage, (size_t)BLOCK * BLOCKS) < BLOCK * BLOCKS / 8);
    MUST(((char *)kept[0])[BLOCK - 1] == 1);
    must_be_sound();
}

static void what_is_free_goes_back_before_the_process_grows(void **state)
{
    (void)state;
    child_must_succeed(grow_with_garbage, grow_by_mapping);
    child_must_succeed(grow_with_garbage, grow_by_heap);
    child_must_succeed(grow_with_garbage, grow_by_realloc);
    child_must_succeed(grow_with_garbage, grow_by_a_mapping_that_moves);
}

static void grow_with_room(void *unused)
{
    void *kept[2];
    (void)unused;
    char *garbage = leave_garbage(kept);
    cgroup = (struct os_memory){(size_t)1 << 30, (size_t)1 << 29};
    limit_reset();
    unsigned before = looks;
    grow_by_mapping(NULL);
    MUST(looks == before + 1);
    MUST(resident(garbage, (size_t)BLOCK * BLOCKS) >= BLOCK * (BLOCKS - 2));
    /* Within the allowance nobody looks. */
    for (int i = 0; i < 10; i++) {
        grow_by_mapping(NULL);
    }
    MUST(looks == before + 1);
}

static void with_room_it_stays(void **state)
{
    (void)state;
    child_must_succeed(grow_with_room, NULL);
}

/* For as long as there is little room, each pass looks whether there is more.
 */
static void pass_while_tight(void *unused)
{
    void *kept[2];
    (void)unused;
    leave_garbage(kept);
    cgroup = (struct os_memory){64 << 20, 0};
    limit_reset();
    grow_by_mapping(NULL);
    MUST(!limit_is_due() && limit_is_tight());
    while (purge_step()) {
    }
    MUST(limit_is_due());
    cgroup = (struct os_memory){SIZE_MAX, SIZE_MAX};
    unsigned before = looks;
    grow_by_mapping(NULL);
    MUST(looks == before + 1 && !limit_is_tight());
    while (purge_step()) {
    }
    MUST(!limit_is_due());
}

static void while_it_is_tight_passes_ask_again(void **state)
{
    (void)state;
    child_must_succeed(pass_while_tight, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_limit_it_looks_once, begin),
        cmocka_unit_test_setup(a_limit_that_is_not_seen_again_is_looked_for,
                               begin),
        cmocka_unit_test_setup(half_of_the_room_may_be_got, begin),
        cmocka_unit_test_setup(without_room_it_is_tight, begin),
        cmocka_unit_test_setup(the_option_counts_what_the_process_has, begin),
        cmocka_unit_test_setup(a_new_limit_is_looked_at_soon, begin),
        cmocka_unit_test_setup(what_is_free_goes_back_before_the_process_grows,
                               begin),
        cmocka_unit_test_setup(with_room_it_stays, begin),
        cmocka_unit_test_setup(while_it_is_tight_passes_ask_again, begin),
    };
    return UNIT_RUN(tests);
}
