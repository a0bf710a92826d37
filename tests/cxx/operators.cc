/*
 * Every form of operator new and delete, when there is memory and when there is
 * none; and a size that is wrong, which only ptm's operators mind.
 */
#include "check.h"

#include <malloc.h>
#include <new>
#include <stdint.h>
#include <string.h>
#include <string>
#include <thread>
#include <vector>

#include "ptm.h"

using std::align_val_t;
using std::nothrow;

static bool is_aligned(const void *block, size_t alignment)
{
    return (uintptr_t)block % alignment == 0;
}

static void *used(void *block, size_t size)
{
    CHECK(block != nullptr);
    memset(opaque(block), 0x5a, size);
    return block;
}

static void all_forms_fit_together(size_t size)
{
    operator delete(used(operator new(size), size));
    operator delete(used(operator new(size), size), size);
    operator delete(used(operator new(size, nothrow), size));
    operator delete(used(operator new(size, nothrow), size), nothrow);
    operator delete[](used(operator new[](size), size));
    operator delete[](used(operator new[](size), size), size);
    operator delete[](used(operator new[](size, nothrow), size));
    operator delete[](used(operator new[](size, nothrow), size), nothrow);
}

static void all_aligned_forms_fit_together(size_t size, size_t alignment)
{
    const align_val_t aligned = align_val_t(alignment);
    void *blocks[] = {
        used(operator new(size, aligned), size),
        used(operator new(size, aligned), size),
        used(operator new(size, aligned, nothrow), size),
        used(operator new[](size, aligned), size),
        used(operator new[](size, aligned), size),
        used(operator new[](size, aligned, nothrow), size),
    };
    for (void *block : blocks) {
        CHECK(is_aligned(block, alignment));
    }
    operator delete(blocks[0], aligned);
    operator delete(blocks[1], size, aligned);
    operator delete(blocks[2], aligned, nothrow);
    operator delete[](blocks[3], aligned);
    operator delete[](blocks[4], size, aligned);
    operator delete[](blocks[5], aligned, nothrow);
}

static void what_is_null_is_deleted_in_every_form()
{
    const align_val_t aligned = align_val_t(64);
    void *null = opaque((void *)nullptr);
    operator delete(null);
    operator delete(null, 100);
    operator delete(null, nothrow);
    operator delete(null, aligned);
    operator delete(null, 100, aligned);
    operator delete(null, aligned, nothrow);
    operator delete[](null);
    operator delete[](null, 100);
    operator delete[](null, nothrow);
    operator delete[](null, aligned);
    operator delete[](null, 100, aligned);
    operator delete[](null, aligned, nothrow);
}

/* How it ends when there is no memory. */
enum outcome { GIVES_NULL, THROWS_BAD_ALLOC, THROWS_SOMETHING, GIVES_MEMORY };

template <typename Request> static enum outcome outcome_of(Request request)
{
    try {
        return request() == nullptr ? GIVES_NULL : GIVES_MEMORY;
    } catch (const std::bad_alloc &) {
        return THROWS_BAD_ALLOC;
    } catch (...) {
        return THROWS_SOMETHING;
    }
}

static void all_forms_end_so(enum outcome thrown, enum outcome not_thrown)
{
    const align_val_t aligned = align_val_t(64);
    const size_t n = too_large;
    CHECK(outcome_of([&] { return operator new(n); }) == thrown);
    CHECK(outcome_of([&] { return operator new[](n); }) == thrown);
    CHECK(outcome_of([&] { return operator new(n, aligned); }) == thrown);
    CHECK(outcome_of([&] { return operator new[](n, aligned); }) == thrown);
    CHECK(outcome_of([&] { return operator new(n, nothrow); }) == not_thrown);
    CHECK(outcome_of([&] { return operator new[](n, nothrow); }) == not_thrown);
    CHECK(outcome_of([&] { return operator new(n, aligned, nothrow); }) ==
          not_thrown);
    CHECK(outcome_of([&] { return operator new[](n, aligned, nothrow); }) ==
          not_thrown);
}

static unsigned handler_calls;

static void give_up_at_the_third_call()
{
    if (++handler_calls == 3) {
        std::set_new_handler(nullptr);
    }
}

static void throw_something()
{
    throw 42;
}

static void the_handler_is_called_until_there_is_none()
{
    handler_calls = 0;
    std::set_new_handler(give_up_at_the_third_call);
    CHECK(outcome_of([] { return operator new(too_large); }) ==
          THROWS_BAD_ALLOC);
    CHECK(handler_calls == 3);
    handler_calls = 0;
    std::set_new_handler(give_up_at_the_third_call);
    CHECK(outcome_of([] { return operator new(too_large, nothrow); }) ==
          GIVES_NULL);
    CHECK(handler_calls == 3);
    handler_calls = 0;
    std::set_new_handler(give_up_at_the_third_call);
    CHECK(outcome_of([] {
              return operator new(too_large, align_val_t(4096));
          }) == THROWS_BAD_ALLOC);
    CHECK(handler_calls == 3);
}

static void what_the_handler_throws_is_thrown()
{
    std::set_new_handler(throw_something);
    all_forms_end_so(THROWS_SOMETHING, GIVES_NULL);
    std::set_new_handler(nullptr);
}

/* The handler makes room, and new succeeds after all. */
static void *reserve;

static void give_the_reserve()
{
    CHECK(reserve != nullptr);
    free(reserve);
    reserve = nullptr;
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void the_handler_can_help()
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {256 << 20, RLIM_INFINITY};
        reserve = malloc(1000);
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        std::set_new_handler(give_the_reserve);
        char *block = opaque(new char[400 << 20]);
        CHECK(reserve == nullptr);
        block[399 << 20] = 1;
        delete[] block;
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void a_size_that_is_too_large_is_a_crime()
{
    CHECK(aborts([] { operator delete(operator new(100), 1000); }));
    CHECK(aborts([] { operator delete[](operator new[](100), 1000); }));
    CHECK(aborts([] {
        operator delete(operator new(100, align_val_t(64)), 10000,
                        align_val_t(64));
    }));
    CHECK(!aborts([] { operator delete(operator new(100), 100); }));
}

struct alignas(128) wide {
    char bytes[300];
};

static void objects_of_all_kinds_come_and_go()
{
    std::vector<std::string> words;
    std::vector<wide *> wides;
    for (int i = 0; i < 1000; i++) {
        words.push_back(std::string((size_t)i, 'x'));
        wides.push_back(new wide());
        CHECK(is_aligned(wides.back(), 128));
    }
    std::thread other([&] {
        for (wide *each : wides) {
            delete each;
        }
        words.clear();
    });
    other.join();
}

int main()
{
    for (size_t size = 0; size < 3000; size += 13) {
        all_forms_fit_together(size);
    }
    all_forms_fit_together(1 << 20);
    for (size_t alignment = 1; alignment <= 1 << 16; alignment *= 2) {
        all_aligned_forms_fit_together(100, alignment);
        all_aligned_forms_fit_together(0, alignment);
        all_aligned_forms_fit_together(1 << 20, alignment);
    }
    what_is_null_is_deleted_in_every_form();
    all_forms_end_so(THROWS_BAD_ALLOC, GIVES_NULL);
    the_handler_is_called_until_there_is_none();
    what_the_handler_throws_is_thrown();
    the_handler_can_help();
    a_size_that_is_too_large_is_a_crime();
    objects_of_all_kinds_come_and_go();
    CHECK(ptm_check() == 0);
    return 0;
}
