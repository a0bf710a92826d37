/*
 * cxx_member.c - the member of libptm.a that has the C++ operators. Who links
 * it is a C++ program, and links the C++ library too.
 */
#include "cxx_library.h"
#include "kind.h"

/* std::get_new_handler and std::__throw_bad_alloc. */
extern void (*get_new_handler(void))(void) __asm__("_ZSt15get_new_handlerv");
_Noreturn extern void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv");

void cxx_handle_no_memory(void)
{
    void (*handler)(void) = get_new_handler();
    if (handler == NULL) {
        throw_bad_alloc();
    }
    handler();
}

/* Nothing in this archive is named for others: so blocks have no kind. */
bool kinds_are_told;

void kind_change(void *mem, enum block_kind from, enum block_kind to,
                 const char *where)
{
    (void)mem;
    (void)from;
    (void)to;
    (void)where;
}

#include "cxx.c"
