/*
 * deepbind.h - libraries that are opened with RTLD_DEEPBIND.
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
 */
#ifndef PTM_DEEPBIND_H
#define PTM_DEEPBIND_H

#include "base.h"

#endif
