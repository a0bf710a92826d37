/*
 * introspection.h - what a reader outside of the process needs to find its way
 * in this memory.
 *
 *     ptm_introspection --parts--> | name | number or address |
 *                       |          | name | ...               |
 *                       |          | ""                       |
 *                       '-------> ...
 *
 * The reader knows the names and what they mean; where things are, it learns
 * here. So a reader serves libraries older and newer than itself: a field may
 * move, a name may be added. A name never changes its meaning; what means
 * something else gets another name.
 *
 * `ptm_introspection` is exported; where there are no symbols any more (a
 * static program, stripped), it is found by its first 16 bytes, at a multiple
 * of 64, which are followed by its own address, as no copy of it is.
 *
 * All of it is constant: written by the loader once, read-only from then on,
 * and in every core file, as the pages that it lies in have been relocated. It
 * costs the allocator nothing. It says where the secrets are, not what they
 * are: who can follow it can read this memory anyway.
 */
#ifndef PTM_INTROSPECTION_H
#define PTM_INTROSPECTION_H

#include "base.h"
#include "describe.h"

enum {
    INTROSPECTION_VERSION = 1, /* of this struct and struct description */
    INTROSPECTION_PARTS = 7,
};

struct introspection {
    char magic[16];
    const struct introspection *self;
    uint32_t version;
    uint32_t entry_size; /* of one description */
    const struct description *parts[INTROSPECTION_PARTS]; /* NULL: none */
};

_Static_assert(sizeof(struct introspection) == 88, "as version 1 has it");

extern const struct introspection ptm_introspection;

#endif
