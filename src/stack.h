/*
 * stack.h - who called: the return addresses on this thread's stack.
 *
 *     stack[0]   the address behind the call of malloc, or free
 *     stack[1]   ... behind the call of the function that this is in
 *     ...
 *
 * A frame is left by the tables that compilers write for exceptions
 * (.eh_frame, found by the search table that linkers add), as the platform's
 * unwinder does it; where there are none, in code made at run time, by the
 * saved frame pointer, if that looks like one. Of the tables only what
 * compilers use to find the caller is understood: the frame's address, the
 * return address, and the frame pointer. What is not ends the stack there.
 *
 * Why this is not left to libgcc's unwinder: malloc is called with any lock
 * held, by the loader and by that unwinder itself. libgcc would have to be
 * loaded, which nobody can do inside of malloc; for code that registers its
 * tables it takes a lock and allocates with it. Here no lock is taken and
 * nothing allocated: libc's _dl_find_object is made for that, and reads no
 * more than the loader has written. Stack memory is read only where the kernel
 * says that it may be.
 *
 * So it may run in any thread, in a signal handler and in the child of a fork.
 */
#ifndef PTM_STACK_H
#define PTM_STACK_H

#include "base.h"

/* Where a call comes from: the address behind it, and of the function that was
 * called its frame, whose first word is the caller's frame pointer, and the
 * stack pointer that the caller has. NULL: not known. */
struct call {
    const void *caller;
    const void *frame;
    const void *stack_pointer;
};

/* Of the function that uses it, which must not be inlined. It is entered by a
 * call, or by jumps that leave the caller's frame pointer alone. */
#define CALL_FROM(address)                                                     \
    ((struct call){                                                            \
        .caller = (address),                                                   \
        .frame = __builtin_frame_address(0),                                   \
        .stack_pointer = __builtin_dwarf_cfa(),                                \
    })

/* Returns how many were found, up to `most`. */
size_t stack_walk(uintptr_t *stack, size_t most, struct call call);

#endif
