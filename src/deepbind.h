/*
 * deepbind.h - two ways to the C library's malloc where the program has ours:
 * libraries that are opened with RTLD_DEEPBIND, and dlsym of its own handle.
 *
 * Such a library looks for its symbols in what it was linked with before it
 * looks where the program does: it finds the C library's malloc and free where
 * the program has ours, and the two hand each other their blocks. No malloc can
 * mend that afterwards: of two frees one is not its own. So dlopen is ours, and
 * opens the library without that flag; the option `deepbind` leaves it.
 *
 * The C library's dlopen looks at who calls it (for the paths where that
 * library wants its own looked for, and the namespace that it is in): so it is
 * jumped to, not called, which takes an optimised build.
 *
 * Who opens "libc.so.6" and asks that for "free" (.NET's and Python's ways to
 * call C) gets the C library's, and gives it what getline or strdup allocated:
 * by ours. So dlsym is ours too. Where the answer would be one of the C
 * library's family of malloc, and what the program itself calls by the names
 * malloc and free are ours, it is ours. In all other cases the C library's
 * dlsym is jumped to, since RTLD_NEXT depends on who calls. musl has no
 * versions, by which its dlsym could be found behind ours: there it stays as it
 * is.
 */
#ifndef PTM_DEEPBIND_H
#define PTM_DEEPBIND_H

#include "base.h"

#endif
