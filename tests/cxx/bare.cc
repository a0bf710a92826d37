/*
 * C++ without a C++ library: new and delete are ptm's, and where bad_alloc
 * would be thrown the program ends.
 */
#include "check.h"

#include <dlfcn.h>
#include <new>

/* What <new> declares and only the library defines. */
const std::nothrow_t std::nothrow{};

struct object {
    char bytes[100];
};

int main()
{
    CHECK(dlsym(RTLD_DEFAULT, "__cxa_throw") == nullptr);
    object *one = opaque(new object());
    object *many = opaque(new object[100]);
    delete one;
    delete[] many;
    CHECK(new (std::nothrow) char[too_large] == nullptr);
    CHECK(aborts([] { opaque(new char[too_large]); }));
    return 0;
}
