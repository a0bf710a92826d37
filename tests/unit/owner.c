/*
 * owner.c - the table that says whose memory an address is in.
 */
#include "owner.h"

#include "unit.h"

#include "faulty_syscall.h"

static void *address(uintptr_t number)
{
    return (void *)number;
}

static void nobody_owns_what_was_not_tagged(void **state)
{
    (void)state;
    assert_int_equal(owner_of(NULL), 0);
    assert_int_equal(owner_of(&state), 0);
    assert_int_equal(owner_of(heap_tag), 0);
}

/* Addresses that no user space has lie behind the table, not behind its end in
 * memory. */
static void wild_addresses_have_no_owner(void **state)
{
    static const uintptr_t wild[] = {
        (uintptr_t)1 << ADDRESS_BITS,
        ((uintptr_t)1 << ADDRESS_BITS) + HEAP_MAX_SIZE,
        (uintptr_t)1 << 63,
        0xffff800000000000,
        UINTPTR_MAX,
        UINTPTR_MAX - 15,
    };
    (void)state;
    for (size_t i = 0; i < count_of(wild); i++) {
        assert_int_equal(owner_of(address(wild[i])), 0);
    }
}

static void a_tag_covers_64_mib_and_not_a_byte_more(void **state)
{
    static const uintptr_t heaps[] = {
        HEAP_MAX_SIZE,
        0x7f0000000000,
        ((uintptr_t)1 << ADDRESS_BITS) - HEAP_MAX_SIZE,
    };
    (void)state;
    for (size_t i = 0; i < count_of(heaps); i++) {
        owner_set(address(heaps[i]), 254);
        assert_int_equal(owner_of(address(heaps[i] - 1)), 0);
        assert_int_equal(owner_of(address(heaps[i])), 254);
        assert_int_equal(owner_of(address(heaps[i] + HEAP_MAX_SIZE - 1)), 254);
        assert_int_equal(owner_of(address(heaps[i] + HEAP_MAX_SIZE)), 0);
        owner_set(address(heaps[i]), 0);
        assert_int_equal(owner_of(address(heaps[i])), 0);
    }
}

static void neighbours_do_not_mix(void **state)
{
    uintptr_t heap = 0x7f0000000000;
    (void)state;
    owner_set(address(heap), 3);
    owner_set(address(heap + HEAP_MAX_SIZE), 4);
    assert_int_equal(owner_of(address(heap + HEAP_MAX_SIZE - 16)), 3);
    assert_int_equal(owner_of(address(heap + HEAP_MAX_SIZE + 16)), 4);
    owner_set(address(heap), 0);
    assert_int_equal(owner_of(address(heap + HEAP_MAX_SIZE)), 4);
    owner_set(address(heap + HEAP_MAX_SIZE), 0);
}

/* One advice, inside of the table. Whether the kernel takes it is its affair.
 */
static void huge_pages_are_kept_away_from_the_table(void **state)
{
    const struct faulty_plan inside = {
        .kinds = FAULTY_MADVISE,
        .at_least = sizeof heap_tag - (64 << 10),
        .low = (uintptr_t)heap_tag,
        .high = (uintptr_t)heap_tag + sizeof heap_tag,
    };
    (void)state;
    faulty_use(&inside);
    owner_prepare();
    assert_int_equal(faulty_calls_counted(), 1);
    faulty_use(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_owns_what_was_not_tagged),
        cmocka_unit_test(wild_addresses_have_no_owner),
        cmocka_unit_test(a_tag_covers_64_mib_and_not_a_byte_more),
        cmocka_unit_test(neighbours_do_not_mix),
        cmocka_unit_test(huge_pages_are_kept_away_from_the_table),
    };
    return UNIT_RUN(tests);
}
