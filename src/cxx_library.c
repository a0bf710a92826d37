#define _GNU_SOURCE
#include "cxx_library.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "fatal.h"

PTM_COLD void *cxx_find_in_library(const char *symbol)
{
    static const char names[][16] = {"libstdc++.so.6", "libc++.so.1"};
    void *found = dlsym(RTLD_NEXT, symbol);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && found == NULL;
         i++) {
        void *library = dlopen(names[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library != NULL) {
            found = dlsym(library, symbol);
            dlclose(library);
        }
    }
    return found;
}

_Noreturn PTM_COLD static void die_for_want_of_library(void)
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: operator new: out of memory, and no C++ "
                           "library to throw bad_alloc");
    message_write(&message);
    abort();
}

PTM_COLD void cxx_handle_no_memory(void)
{
    typedef void new_handler(void);
    new_handler *(*get_new_handler)(void) =
        (new_handler * (*)(void)) cxx_find_in_library("_ZSt15get_new_handlerv");
    new_handler *handler = get_new_handler != NULL ? get_new_handler() : NULL;
    if (handler != NULL) {
        handler();
        return;
    }
    void (*throw_bad_alloc)(void) =
        (void (*)(void))cxx_find_in_library("_ZSt17__throw_bad_allocv");
    if (throw_bad_alloc != NULL) {
        throw_bad_alloc();
    }
    die_for_want_of_library();
}
