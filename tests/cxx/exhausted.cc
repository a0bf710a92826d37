/*
 * Little address space, used up: what C++ programs do then. Exceptions are
 * thrown and caught while there is nothing left, new[] of too many objects is
 * bad_alloc, and what unwinding frees can be had again. Pools of std::pmr get
 * and give back their blocks.
 */
#include "check.h"

#include <map>
#include <memory_resource>
#include <new>
#include <string>
#include <vector>

#include "ptm.h"

enum { ROUNDS = 2, ADDRESS_SPACE = 64 << 20 };

static void limit_address_space()
{
    const struct rlimit limit = {ADDRESS_SPACE, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* In one list, which needs no memory of its own. */
struct alignas(256) link {
    struct link *next;
    char bytes[300];
};

static struct link *links;

static void delete_links()
{
    while (links != nullptr) {
        struct link *next = links->next;
        delete links;
        links = next;
    }
}

/* With nothing left, an exception still finds its way. */
static void use_up_all()
{
    bool was_thrown = false;
    try {
        for (;;) {
            struct link *fresh = new struct link();
            fresh->next = links;
            links = fresh;
        }
    } catch (const std::bad_alloc &) {
        was_thrown = true;
    }
    CHECK(was_thrown);
    CHECK(opaque(new (std::nothrow) struct link()) == nullptr);
    was_thrown = false;
    try {
        throw 42;
    } catch (int number) {
        was_thrown = number == 42;
    }
    CHECK(was_thrown);
    delete_links();
}

/* Unwinding frees them all. */
static void grow_until_it_is_thrown()
{
    bool was_thrown = false;
    try {
        std::vector<std::string> words;
        for (;;) {
            words.push_back(std::string(100000, 'x'));
        }
    } catch (const std::bad_alloc &) {
        was_thrown = true;
    }
    CHECK(was_thrown);
}

static void too_many_objects_are_bad_alloc()
{
    bool was_thrown = false;
    try {
        delete[] opaque(new long[too_large / 2]);
    } catch (const std::bad_alloc &) {
        was_thrown = true;
    }
    CHECK(was_thrown);
}

static void fill_and_empty(std::pmr::memory_resource *resource)
{
    std::pmr::map<int, std::pmr::string> words(resource);
    for (int i = 0; i < 3000; i++) {
        words[i] = std::string((size_t)i % 900, (char)('a' + i % 26));
    }
    for (int i = 0; i < 3000; i++) {
        CHECK(words[i] ==
              std::pmr::string((size_t)i % 900, (char)('a' + i % 26)));
    }
}

static void pools_get_and_give_back()
{
    std::pmr::unsynchronized_pool_resource pool;
    std::pmr::synchronized_pool_resource shared_pool;
    std::pmr::monotonic_buffer_resource buffer;
    fill_and_empty(&pool);
    fill_and_empty(&shared_pool);
    fill_and_empty(&buffer);
    fill_and_empty(std::pmr::new_delete_resource());
}

int main()
{
    limit_address_space();
    for (int i = 0; i < ROUNDS; i++) {
        use_up_all();
        CHECK(ptm_check() == 0);
        grow_until_it_is_thrown();
        too_many_objects_are_bad_alloc();
        pools_get_and_give_back();
        CHECK(ptm_check() == 0);
    }
    return 0;
}
