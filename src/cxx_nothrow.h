/*
 * cxx_nothrow.h - the forms of operator new that return NULL and throw nothing.
 *
 * What they are defined by may throw, or the new-handler may, and C cannot
 * catch. So when there is no memory, or the program has replaced the new that a
 * form stands on, the C++ library's form is called in its place: it calls that
 * new, and catches. Without such a library nothing throws.
 */
#ifndef PTM_CXX_NOTHROW_H
#define PTM_CXX_NOTHROW_H

#include "cxx.h"

#endif
