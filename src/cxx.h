/*
 * cxx.h - operator new and operator delete, without a C++ compiler.
 *
 * They are made of malloc and its family and do what the C++ standard says: a
 * new that has no memory calls the program's new-handler until there is none,
 * and then throws std::bad_alloc. Some forms are defined by others:
 *
 *     new[] ---------> new        sized delete ---> delete
 *     nothrow new ---> new        sized delete[] -> delete[] -> delete
 *     nothrow new[] -> new[]      nothrow forms of delete likewise
 *
 * and the same for aligned ones. A program may replace any of them, and those
 * that are defined by it then lead there: so each looks whether the public name
 * of the next is still ours. All are weak, for programs that bring their own
 * and are linked statically.
 *
 * In libptm.a these operators are a member of their own, which only C++
 * programs link. It does without cxx_nothrow.c: those forms are left to the C++
 * library, whose own call the operators here.
 *
 * In hardened mode blocks remember which of them they are from (kind.h), as far
 * as the operators are ours: who replaces new alone may well leave delete to
 * us. In libptm.a they do not.
 *
 * Thread-safe, not async-signal-safe.
 */
#ifndef PTM_CXX_H
#define PTM_CXX_H

#include "base.h"
#include "kind.h"

void *cxx_new(size_t size);
void *cxx_new_array(size_t size);
void *cxx_new_aligned(size_t size, size_t alignment);
void *cxx_new_array_aligned(size_t size, size_t alignment);

/* Defines the C++ operator with this symbol as the function `target`. */
#define PTM_CXX_OPERATOR(symbol, target)                                       \
    extern __typeof(target) symbol                                             \
        __attribute__((weak, alias(#target), visibility("default")))

/* Makes a declaration that of the operator as the program has it: ours, or one
 * of its own. */
#define PTM_CXX_PUBLIC(symbol)                                                 \
    __asm__(#symbol) __attribute__((visibility("default")))

extern void *public_new(size_t size) PTM_CXX_PUBLIC(_Znwm);
extern void *public_new_array(size_t size) PTM_CXX_PUBLIC(_Znam);
extern void *public_new_aligned(size_t size, size_t alignment)
    PTM_CXX_PUBLIC(_ZnwmSt11align_val_t);
extern void *public_new_array_aligned(size_t size, size_t alignment)
    PTM_CXX_PUBLIC(_ZnamSt11align_val_t);

/* A block of malloc's, or NULL, becomes one of this kind. */
static inline void *cxx_as(enum block_kind kind, void *mem)
{
    if (unlikely(kinds_are_told) && mem != NULL) {
        kind_change(mem, KIND_MALLOC, kind, "operator new");
    }
    return mem;
}

typedef void cxx_function(void);

/* The same function, of which the compiler does not know which it is: it would
 * take two names for two functions. */
static inline cxx_function *cxx_opaque(cxx_function *function)
{
    __asm__("" : "+r"(function));
    return function;
}

#define PTM_CXX_IS_OURS(public_name, own)                                      \
    likely(cxx_opaque((cxx_function *)(public_name)) == (cxx_function *)(own))

#endif
