/*
 * describe.h - a name and a number, by which a file tells readers outside of
 * the process about its variables: see introspection.h.
 *
 *     thing             the address of a variable
 *     thing.part        the offset of a part in it, in bytes
 *     thing.size        how many bytes one has
 *     THING             a constant
 *
 * A file's list has an address in it, so that it lies among the constants that
 * the loader relocates.
 */
#ifndef PTM_DESCRIBE_H
#define PTM_DESCRIBE_H

#include "base.h"

enum {
    DESCRIPTION_NAME = 24,
};

struct description {
    char name[DESCRIPTION_NAME]; /* "": behind the last one */
    union {
        uint64_t number;
        const void *address;
    };
};

_Static_assert(sizeof(struct description) == 32, "no padding");

#define DESCRIBE_ADDRESS(text, variable)                                       \
    {                                                                          \
        .name = (text), .address = (variable)                                  \
    }
#define DESCRIBE_NUMBER(text, value)                                           \
    {                                                                          \
        .name = (text), .number = (value)                                      \
    }
#define DESCRIBE_PART(text, type, part)                                        \
    DESCRIBE_NUMBER(text, offsetof(type, part))

#endif
