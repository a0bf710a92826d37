/*
 * C++ in a library that host.c opens. Returns 0 when all is as it should be.
 */
#include <new>

static volatile unsigned long too_large = ~0UL >> 1;

static void throw_something()
{
    throw 42;
}

extern "C" int plugin();

int plugin()
{
    try {
        delete[] new char[too_large];
        return 1;
    } catch (const std::bad_alloc &) {
    }
    if (new (std::nothrow) char[too_large] != nullptr) {
        return 2;
    }
    std::set_new_handler(throw_something);
    try {
        delete[] new char[too_large];
        return 3;
    } catch (int) {
    }
    if (new (std::nothrow) char[too_large] != nullptr) {
        return 4;
    }
    std::set_new_handler(nullptr);
    return 0;
}
