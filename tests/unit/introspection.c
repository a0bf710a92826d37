/*
 * introspection.c - the description that readers outside of the process follow.
 */
#include "introspection.h"

#include "unit.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "actor.h"
#include "alloc.h"
#include "arenas.h"
#include "block.h"
#include "child.h"
#include "tcache.h"

enum {
    ENTRIES_MOST = 512,
};

/* All entries of all parts. */
static size_t all_entries(const struct description **entries)
{
    size_t count = 0;
    for (int i = 0; i < INTROSPECTION_PARTS; i++) {
        const struct description *entry = ptm_introspection.parts[i];
        for (; entry != NULL && entry->name[0] != '\0'; entry++) {
            assert_true(count < ENTRIES_MOST);
            entries[count++] = entry;
        }
    }
    return count;
}

static const struct description *find(const char *name)
{
    const struct description *entries[ENTRIES_MOST];
    size_t count = all_entries(entries);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i]->name, name) == 0) {
            return entries[i];
        }
    }
    fail_msg("no %s", name);
    return NULL;
}

static void it_is_known_by_its_first_bytes_and_its_address(void **state)
{
    (void)state;
    assert_memory_equal(ptm_introspection.magic, "ptm:introspect\n", 16);
    assert_ptr_equal(ptm_introspection.self, &ptm_introspection);
    assert_int_equal((uintptr_t)&ptm_introspection % 64, 0);
    assert_int_equal(ptm_introspection.entry_size, sizeof(struct description));
}

static void each_name_is_there_once_and_ends(void **state)
{
    const struct description *entries[ENTRIES_MOST];
    size_t count = all_entries(entries);
    (void)state;
    assert_true(count > 80);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(memchr(entries[i]->name, '\0', DESCRIPTION_NAME));
        assert_ptr_equal(find(entries[i]->name), entries[i]);
    }
}

/* A list without an address would lie among the constants that no core file
 * has. */
static void each_list_has_an_address(void **state)
{
    (void)state;
    for (int i = 0; i < INTROSPECTION_PARTS; i++) {
        const struct description *entry = ptm_introspection.parts[i];
        bool has_address = entry == NULL;
        for (; entry != NULL && entry->name[0] != '\0'; entry++) {
            has_address |= entry->number > (uint64_t)1 << 32;
        }
        assert_true(has_address);
    }
}

static uint64_t number_at(uint64_t address)
{
    return *(const uint64_t *)(uintptr_t)address;
}

static void what_it_says_is_so(void **state)
{
    (void)state;
    char *mem = alloc_malloc(100);
    assert_non_null(mem);
    struct heap *heap = heap_for_ptr(mem);
    assert_ptr_equal(find("main_arena")->address, &main_arena);
    assert_int_equal(number_at((uintptr_t)heap + find("heap.arena")->number),
                     (uintptr_t)heap->arena);
    assert_int_equal(
        number_at((uintptr_t)heap + find("heap.committed")->number),
        heap->committed);
    assert_int_equal(
        number_at((uintptr_t)mem2chunk(mem) + find("chunk.word")->number),
        chunk_word(mem2chunk(mem)));
    alloc_free(mem);
}

/* There are runs for a size once there is some demand. */
static void *an_object(void)
{
    char *mem = alloc_malloc(100);
    for (int i = 0; i < 1000 && block_run_class(mem) == 0; i++) {
        mem = alloc_malloc(100);
    }
    assert_int_not_equal(block_run_class(mem), 0);
    return mem;
}

static void it_leads_to_an_object_of_a_run_and_its_state(void **state)
{
    (void)state;
    char *mem = an_object();
    uintptr_t heap = (uintptr_t)heap_for_ptr(mem);
    uint64_t page_size = find("RUN")->number;
    uint64_t page = ((uintptr_t)mem - heap) / page_size;
    unsigned byte =
        ((const uint8_t *)heap)[find("heap.page_class")->number + page];
    byte &= ~(unsigned)find("RUN_WATCHED")->number;
    assert_int_equal(byte * find("RUN_STEP")->number, 112);
    uintptr_t run = number_at(heap + find("heap.runs")->number) +
                    page * find("run.size")->number;
    assert_int_equal(number_at(run + find("run.start")->number),
                     heap + page * page_size);
    uint64_t index = (uintptr_t)mem % page_size / 112;
    uint16_t objects = *(const uint16_t *)(run + find("run.objects")->number);
    assert_int_equal(objects, (page_size - 8) / 112);
    uint64_t word = number_at(run + find("run.free_map")->number +
                              index / 64 * sizeof(uint64_t));
    assert_int_equal(word >> index % 64 & 1, 0);
    uint64_t mark =
        number_at(find("keys")->number + find("keys.object")->number) ^
        (uintptr_t)mem;
    assert_int_not_equal(number_at((uintptr_t)mem + 8), mark);
    alloc_free(mem);
    assert_int_equal(number_at((uintptr_t)mem + 8), mark);
}

/* Whether a cache of the thread with this number is listed. */
static bool lists(uint32_t thread)
{
    uint64_t list = find("caches")->number;
    for (uint64_t i = 0; i < find("CACHES")->number; i++) {
        uint64_t cache = number_at(list + i * sizeof cache);
        if (cache != 0 &&
            *(const uint32_t *)(uintptr_t)(cache +
                                           find("cache.thread")->number) ==
                thread) {
            return true;
        }
    }
    return false;
}

static void allocate(void *unused)
{
    (void)unused;
    alloc_free(alloc_malloc(100));
}

static void end_cache(void *unused)
{
    (void)unused;
    tcache_destroy();
}

static void caches_are_listed_while_they_are_used(void **state)
{
    struct actor actor;
    (void)state;
    actor_start(&actor);
    actor_do(&actor, allocate, NULL);
    uint32_t thread = (uint32_t)actor.id;
    assert_true(lists(thread));
    actor_do(&actor, end_cache, NULL);
    assert_false(lists(thread));
    actor_end(&actor);
}

static void check_own_number(void *unused)
{
    (void)unused;
    tcache_after_fork();
    if (!lists((uint32_t)syscall(SYS_gettid))) {
        _exit(1);
    }
}

static void a_child_lists_its_thread_by_its_own_number(void **state)
{
    (void)state;
    alloc_free(alloc_malloc(100));
    assert_true(lists((uint32_t)syscall(SYS_gettid)));
    child_must_succeed(check_own_number, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_known_by_its_first_bytes_and_its_address),
        cmocka_unit_test(each_name_is_there_once_and_ends),
        cmocka_unit_test(each_list_has_an_address),
        cmocka_unit_test(what_it_says_is_so),
        cmocka_unit_test(it_leads_to_an_object_of_a_run_and_its_state),
        cmocka_unit_test(caches_are_listed_while_they_are_used),
        cmocka_unit_test(a_child_lists_its_thread_by_its_own_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
