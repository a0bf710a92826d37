/*
 * mapped_damage.c - mapped_inspect finds what is wrong with the table, and the
 * child of a fork counts anew what a lost thread left half counted.
 *
 * The table is private to mapped.c, which therefore is a part of this file.
 */
#include "../../src/mapped.c"

#include "unit.h"

#include "actor.h"
#include "child.h"

enum {
    CHUNKS = 5,
};

static struct chunk *chunks[CHUNKS];

static int map_some(void **state)
{
    bool is_zero;
    (void)state;
    for (int i = 0; i < CHUNKS; i++) {
        chunks[i] = mapped_allocate(16, 1, &is_zero);
    }
    return 0;
}

static int unmap_all(void **state)
{
    (void)state;
    for (int i = 0; i < CHUNKS; i++) {
        mapped_free(chunks[i]);
    }
    size_t unsettled = table.promised + table.busy;
    return mapped_count() == 0 && unsettled == 0 ? 0 : -1;
}

static void table_must_be_sound(void)
{
    const void *where;
    assert_null(mapped_inspect(&where));
}

static void table_must_be_damaged(const char *what, const void *where)
{
    const void *found = NULL;
    const char *said = mapped_inspect(&found);
    assert_non_null(said);
    assert_string_equal(said, what);
    assert_ptr_equal(found, where);
}

static void a_sound_table_passes(void **state)
{
    bool is_zero;
    (void)state;
    table_must_be_sound();
    assert_int_equal(mapped_free(chunks[2]), MAPPED_OK);
    table_must_be_sound();
    chunks[2] = mapped_allocate(1 << 16, 1, &is_zero);
    table_must_be_sound();
}

static const char totals_differ[] =
    "totals of the mappings do not match the table";

static void totals_that_differ_are_found(void **state)
{
    size_t *totals[] = {&table.totals.count, &table.totals.bytes, &table.kept,
                        &table.busy, &table.used};
    (void)state;
    for (size_t i = 0; i < count_of(totals); i++) {
        ++*totals[i];
        table_must_be_damaged(totals_differ, &table);
        --*totals[i];
        table_must_be_sound();
    }
}

static void a_length_that_differs_is_found(void **state)
{
    (void)state;
    struct slot *slot = find_chunk(chunks[1]);
    slot->length += 4096;
    table_must_be_damaged("header of a mapping does not match the table",
                          chunk2mem(chunks[1]));
    slot->length -= 4096;
    table_must_be_sound();
}

static void an_overwritten_header_is_found(void **state)
{
    (void)state;
    size_t length = chunks[3]->prev_size;
    overwrite_word(chunks[3], 0x4141414141414141);
    table_must_be_damaged("header of a mapping does not match the table",
                          chunk2mem(chunks[3]));
    chunk_set_mapped(chunks[3], length + 4096);
    table_must_be_damaged("header of a mapping does not match the table",
                          chunk2mem(chunks[3]));
    chunk_set_mapped(chunks[3], length);
    table_must_be_sound();
}

/* The slot behind the last of the run that begins where the key belongs. */
static struct slot *out_of_reach(const struct slot *slot)
{
    size_t mask = table.array->count - 1;
    size_t i = slot_index(slot->key, table.array->count);
    while (table.array->slots[i].key != SLOT_EMPTY ||
           &table.array->slots[i] == slot) {
        i = (i + 1) & mask;
    }
    i = (i + 1) & mask;
    while (table.array->slots[i].key != SLOT_EMPTY) {
        i = (i + 1) & mask;
    }
    return &table.array->slots[i];
}

static void an_entry_out_of_reach_is_found(void **state)
{
    (void)state;
    struct slot *slot = find_chunk(chunks[0]);
    struct slot *wrong = out_of_reach(slot);
    struct slot saved = *slot;
    *wrong = saved;
    *slot = (struct slot){.key = SLOT_EMPTY};
    table_must_be_damaged("mapping cannot be found in the table",
                          chunk2mem(chunks[0]));
    *slot = saved;
    table_must_be_damaged("mapping cannot be found in the table",
                          chunk2mem(chunks[0]));
    *wrong = (struct slot){.key = SLOT_EMPTY};
    table_must_be_sound();
}

static void a_lost_entry_is_found(void **state)
{
    (void)state;
    struct slot *slot = find_chunk(chunks[4]);
    uintptr_t key = slot->key;
    slot->key = SLOT_GONE;
    table_must_be_damaged(totals_differ, &table);
    slot->key = key + SLOT_KEPT;
    table_must_be_damaged(totals_differ, &table);
    slot->key = key + SLOT_BUSY;
    table_must_be_damaged(totals_differ, &table);
    slot->key = key;
    table_must_be_sound();
}

static void a_table_that_is_too_full_is_found(void **state)
{
    (void)state;
    size_t room = table.array->count / 2 - table.used;
    table.promised = room;
    table_must_be_sound();
    table.promised = room + 1;
    table_must_be_damaged("table of the mappings is too full", &table);
    table.promised = 0;
    table_must_be_sound();
}

/* Slots that were promised to a mapping that did not come about. */
static void no_promise_is_left_over(void **state)
{
    struct chunk *same = chunks[1];
    bool is_zero;
    (void)state;
    assert_int_equal(mapped_resize(&same, PTRDIFF_MAX), MAPPED_REFUSED);
    assert_int_equal(table.promised + table.busy, 0);
    assert_int_equal(mapped_resize(&same, 100000), MAPPED_OK);
    assert_int_equal(table.promised + table.busy, 0);
    assert_int_equal(mapped_resize(&(struct chunk *){NULL}, 1), MAPPED_UNKNOWN);
    assert_int_equal(table.promised + table.busy, 0);
    chunks[1] = same;
    assert_null(mapped_allocate(16, PTRDIFF_MAX, &is_zero));
    assert_null(mapped_allocate(4096, PTRDIFF_MAX, &is_zero));
    assert_null(mapped_allocate((size_t)1 << 62, PTRDIFF_MAX, &is_zero));
    assert_int_equal(table.promised + table.busy, 0);
    table_must_be_sound();
}

/* ---- fork in the middle of a change ------------------------------------- */

/* A thread that has stored an entry and counted nothing. */
static void stop_half_way(void *unused)
{
    (void)unused;
    lock_table();
    put(table.array,
        (struct slot){.key = (uintptr_t)chunks[0] + SLOT_KEPT, .length = 4096});
    put(table.array, (struct slot){.key = 0x10000, .length = 4096});
    put(table.array, (struct slot){.key = 0x20000 + SLOT_BUSY, .length = 4096});
    table.promised = 7;
    table.totals.count = 99;
    table.totals.bytes = 1;
}

static void find_it_half_way(void *unused)
{
    (void)unused;
    lock_note_fork();
    mapped_after_fork();
    MUST(!lock_is_orphaned(&table.lock));
    MUST(table.promised == 0);
    MUST(table.kept == 1 && table.busy == 1);
    MUST(table.totals.count == CHUNKS + 1);
    MUST(table.totals.bytes == (CHUNKS + 1) * os_page_size());
    MUST(table.used >= CHUNKS + 3);
    find_slot(0x10000)->key = SLOT_GONE;
    recount();
    const void *where;
    MUST(mapped_inspect(&where) == NULL);
}

/* Without a lost holder nothing is touched, and the lock is good. */
static void find_it_whole(void *unused)
{
    (void)unused;
    table.promised = 1;
    lock_note_fork();
    mapped_after_fork();
    MUST(table.promised == 1);
    MUST(lock_acquire(&table.lock));
    lock_release(&table.lock);
}

static void change_half_and_fork(void *unused)
{
    struct actor other;
    (void)unused;
    actor_start(&other);
    actor_do(&other, stop_half_way, NULL);
    pid_t child = fork();
    if (child == 0) {
        trial_watch();
        find_it_half_way(NULL);
        _exit(0);
    }
    trial_child_must_succeed(child);
}

static void the_child_of_a_fork_counts_anew(void **state)
{
    (void)state;
    child_must_succeed(find_it_whole, NULL);
    child_must_succeed(change_half_and_fork, NULL);
}

#define damage_test(name)                                                      \
    cmocka_unit_test_setup_teardown(name, map_some, unmap_all)

int main(void)
{
    option_set(OPTION_MAPPED_CACHE, 0);
    const struct CMUnitTest tests[] = {
        damage_test(a_sound_table_passes),
        damage_test(totals_that_differ_are_found),
        damage_test(a_length_that_differs_is_found),
        damage_test(an_overwritten_header_is_found),
        damage_test(an_entry_out_of_reach_is_found),
        damage_test(a_lost_entry_is_found),
        damage_test(a_table_that_is_too_full_is_found),
        damage_test(no_promise_is_left_over),
        damage_test(the_child_of_a_fork_counts_anew),
    };
    return UNIT_RUN(tests);
}
