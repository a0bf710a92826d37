/*
 * cxx_library.h - the C++ library, where there is one.
 *
 * Nothing of it is needed until memory is out, so nothing refers to it: it is
 * looked for then. A C program may load a C++ library at any time, and
 * privately, and what is in there calls our operators all the same.
 */
#ifndef PTM_CXX_LIBRARY_H
#define PTM_CXX_LIBRARY_H

#include "base.h"

/* A symbol of the C++ library: of what stands behind ptm in the order of
 * look-up, or of a library by one of the usual names. NULL: there is none. */
void *cxx_find_in_library(const char *symbol);

/* Calls the new-handler of the program; where there is none, throws bad_alloc,
 * or ends the program with a line when there is nobody to throw it. */
void cxx_handle_no_memory(void);

#endif
