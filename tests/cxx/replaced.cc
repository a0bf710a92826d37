/*
 * A program that replaces the least that it may: one new, one delete, and the
 * aligned ones. All other forms are defined by these and must come to them.
 */
#include "check.h"

#include <new>
#include <stdint.h>
#include <string>

using std::align_val_t;
using std::nothrow;

static unsigned made, gone;
static bool is_empty;

/* Not what malloc has given: any other delete would die of it. */
enum { OFFSET = 256 };

static void *make(size_t size)
{
    if (is_empty) {
        throw std::bad_alloc();
    }
    made++;
    return (char *)aligned_alloc(OFFSET, size + OFFSET) + OFFSET;
}

static void destroy(void *block) noexcept
{
    gone++;
    free((char *)block - OFFSET);
}

void *operator new(size_t size)
{
    return make(size);
}

void operator delete(void *block) noexcept
{
    destroy(block);
}

void *operator new(size_t size, align_val_t)
{
    return make(size);
}

void operator delete(void *block, align_val_t) noexcept
{
    destroy(block);
}

/* One was made, or one has gone, since the last time. */
static void *expect_made(void *block)
{
    static unsigned last;
    CHECK(made == ++last);
    CHECK((uintptr_t)block % OFFSET == 0);
    return opaque(block);
}

static unsigned last_gone;
#define EXPECT_GONE(statement)                                                 \
    do {                                                                       \
        statement;                                                             \
        CHECK(gone == ++last_gone);                                            \
    } while (0)

static void new_of_each_form(void *blocks[8])
{
    const align_val_t aligned = align_val_t(64);
    blocks[0] = expect_made(operator new(100));
    blocks[1] = expect_made(operator new[](100));
    blocks[2] = expect_made(operator new(100, nothrow));
    blocks[3] = expect_made(operator new[](100, nothrow));
    blocks[4] = expect_made(operator new(100, aligned));
    blocks[5] = expect_made(operator new[](100, aligned));
    blocks[6] = expect_made(operator new(100, aligned, nothrow));
    blocks[7] = expect_made(operator new[](100, aligned, nothrow));
}

int main()
{
    const align_val_t aligned = align_val_t(64);
    void *blocks[8];
    new_of_each_form(blocks);
    EXPECT_GONE(operator delete(blocks[0]));
    EXPECT_GONE(operator delete(blocks[1], 100));
    EXPECT_GONE(operator delete(blocks[2], nothrow));
    EXPECT_GONE(operator delete[](blocks[3]));
    EXPECT_GONE(operator delete(blocks[4], aligned));
    EXPECT_GONE(operator delete(blocks[5], 100, aligned));
    EXPECT_GONE(operator delete(blocks[6], aligned, nothrow));
    EXPECT_GONE(operator delete[](blocks[7], aligned));
    new_of_each_form(blocks);
    EXPECT_GONE(operator delete[](blocks[0], 100));
    EXPECT_GONE(operator delete[](blocks[1], nothrow));
    EXPECT_GONE(operator delete[](blocks[2], 100, aligned));
    EXPECT_GONE(operator delete[](blocks[3], aligned, nothrow));
    is_empty = true;
    CHECK(operator new(1, nothrow) == nullptr);
    CHECK(operator new[](1, nothrow) == nullptr);
    CHECK(operator new(1, aligned, nothrow) == nullptr);
    CHECK(operator new[](1, aligned, nothrow) == nullptr);
    is_empty = false;
    {
        std::string text(1000, 'x');
        CHECK(made > 16);
    }
    return 0;
}
