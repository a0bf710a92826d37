/*
 * kind.h - which of the program's functions a block is from, in hardened mode:
 * what malloc gave is not for operator delete, what new gave not for free, nor
 * an array for a delete of one object.
 *
 * Operators are made of malloc and free. So a block is born malloc's, and new
 * makes it its own; delete gives it back to malloc before it is freed. The
 * kind stands beside the canary (harden.h), or in the table of mappings.
 *
 * Option `kinds` turns it off, for programs that mix what their C++ library
 * lets them mix.
 */
#ifndef PTM_KIND_H
#define PTM_KIND_H

#include "base.h"

enum block_kind {
    KIND_MALLOC,
    KIND_NEW,
    KIND_NEW_ARRAY,
    KIND_COUNT,
    KIND_ANY = KIND_COUNT,
};

/* Whether kinds are told apart: fixed when the options have been read. */
extern bool kinds_are_told;

/* From one kind, or any, to another; the block is the caller's, and may be one
 * that has no kind. Ends the program if it is of a kind that it must not be;
 * `where` is the operator that wants it. */
void kind_change(void *mem, enum block_kind from, enum block_kind to,
                 const char *where);

#endif
