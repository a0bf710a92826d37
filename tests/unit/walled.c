/*
 * walled.c - mappings of hardened mode: where they end, what faults, how long
 * their addresses wait, and a kernel that says no.
 */
#include "walled.h"

#include "unit.h"

#include <string.h>
#include <sys/wait.h>

#include "child.h"
#include "faulty_syscall.h"
#include "mapped.h"
#include "options.h"
#include "os.h"

static char *mem_of(size_t alignment, size_t size)
{
    bool is_zero = false;
    struct chunk *chunk = mapped_allocate(alignment, size, &is_zero);
    MUST(chunk != NULL && is_zero);
    return chunk2mem(chunk);
}

static void give_back(void *mem)
{
    MUST(mapped_free(mem2chunk(mem)) == MAPPED_OK);
}

static void must_be_sound(void)
{
    const void *where;
    const char *wrong = mapped_inspect(&where);
    MUST(wrong == NULL);
}

static int hardened_mode(void **state)
{
    (void)state;
    option_set(OPTION_HARDENED, 1);
    return 0;
}

static void touch(void *address)
{
    *(volatile char *)address = 1;
}

static void look(void *address)
{
    (void)*(volatile char *)address;
}

/* Who writes there, and who only reads. */
static void must_fault(void *address)
{
    void (*const ways[])(void *address) = {touch, look};
    for (size_t i = 0; i < count_of(ways); i++) {
        struct ending ending = child_run(ways[i], address);
        assert_true(WIFSIGNALED(ending.status));
        assert_int_equal(WTERMSIG(ending.status), SIGSEGV);
    }
}

static void a_block_ends_at_its_wall(void **state)
{
    static const size_t alignments[] = {16, 64, 4096};
    static const size_t sizes[] = {1, 16, 4080, 4096, 300000, 1000001};
    (void)state;
    for (size_t i = 0; i < count_of(alignments) * count_of(sizes); i++) {
        size_t alignment = alignments[i / count_of(sizes)];
        size_t size = sizes[i % count_of(sizes)];
        char *mem = mem_of(alignment, size);
        size_t usable = 0;
        assert_int_equal((uintptr_t)mem % alignment, 0);
        assert_int_equal(mapped_usable_size(mem2chunk(mem), &usable),
                         MAPPED_OK);
        assert_int_equal(usable, max_size(size, 24));
        memset(mem, 1, size);
        must_fault(mem + round_up(usable, alignment));
        must_fault((char *)round_down((uintptr_t)mem - 16, os_page_size()) - 1);
        must_be_sound();
        give_back(mem);
        must_fault(mem);
    }
}

static void one_byte_behind_is_found(void **state)
{
    char *mem = mem_of(16, 300001);
    size_t usable = 0;
    (void)state;
    mem[300001] ^= 1;
    assert_int_equal(mapped_usable_size(mem2chunk(mem), &usable),
                     MAPPED_OVERRUN);
    assert_int_equal(mapped_free(mem2chunk(mem)), MAPPED_OVERRUN);
    mem[300001] ^= 1;
    give_back(mem);
}

static void addresses_wait(void **state)
{
    void *freed[WALLED_WAITING];
    (void)state;
    mapped_trim();
    for (int i = 0; i < WALLED_WAITING; i++) {
        freed[i] = mem_of(16, 300000);
        give_back(freed[i]);
        for (int j = 0; j < i; j++) {
            assert_ptr_not_equal(freed[i], freed[j]);
        }
    }
    for (int i = 0; i < WALLED_WAITING; i++) {
        must_fault(freed[i]);
    }
    assert_true(mapped_trim());
    assert_false(mapped_trim());
}

static void what_is_larger_than_a_page_has_no_wall(void **state)
{
    char *mem = mem_of(64 << 10, 300000);
    (void)state;
    assert_int_equal((uintptr_t)mem % (64 << 10), 0);
    memset(mem, 1, 300000);
    must_be_sound();
    give_back(mem);
}

static void it_does_not_move(void **state)
{
    char *mem = mem_of(16, 300000);
    struct chunk *chunk = mem2chunk(mem);
    (void)state;
    assert_int_equal(mapped_resize(&chunk, 600000), MAPPED_REFUSED);
    assert_ptr_equal(chunk2mem(chunk), mem);
    must_be_sound();
    give_back(mem);
}

static void kinds_are_kept(void **state)
{
    char *mem = mem_of(16, 300000);
    struct mapped_block block;
    (void)state;
    mapped_set_kind(mem2chunk(mem), KIND_NEW_ARRAY);
    assert_int_equal(mapped_look(mem2chunk(mem), &block), MAPPED_OK);
    assert_int_equal(block.kind, KIND_NEW_ARRAY);
    assert_int_equal(block.usable, 300000);
    mapped_set_kind(mem2chunk(mem) + 1, KIND_NEW);
    give_back(mem);
}

/* Each call of the kernel is refused once; without a wall, or without memory,
 * the rest goes on. */
static void the_kernel_may_refuse(void **state)
{
    (void)state;
    for (unsigned long first = 1; first < 12; first++) {
        const struct faulty_plan plan = {
            .kinds = FAULTY_ALL, .first = first, .how_many = 2};
        faulty_use(&plan);
        bool is_zero;
        struct chunk *chunk = mapped_allocate(16, 300001, &is_zero);
        if (chunk != NULL) {
            memset(chunk2mem(chunk), 1, 300001);
            give_back(chunk2mem(chunk));
        }
        mapped_trim();
        faulty_use(NULL);
        must_be_sound();
        give_back(mem_of(16, 300001));
    }
    mapped_trim();
    assert_int_equal(mapped_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_ends_at_its_wall),
        cmocka_unit_test(one_byte_behind_is_found),
        cmocka_unit_test(addresses_wait),
        cmocka_unit_test(what_is_larger_than_a_page_has_no_wall),
        cmocka_unit_test(it_does_not_move),
        cmocka_unit_test(kinds_are_kept),
        cmocka_unit_test(the_kernel_may_refuse),
    };
    trial_watch_for(UNIT_WATCHDOG_SECONDS);
    return cmocka_run_group_tests(tests, hardened_mode, NULL);
}
