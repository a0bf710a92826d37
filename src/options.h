/*
 * options.h - what a user may set, parsed once, read from anywhere.
 *
 * An option is a number. Its value comes, in rising order, from the default
 * in config.h, from glibc's environment variable, from PTM_OPTIONS (a comma
 * list of key=value), and from mallopt at run time. The environment is not
 * believed in a set-user-ID program.
 */
#ifndef PTM_OPTIONS_H
#define PTM_OPTIONS_H

#include "base.h"

enum option {
    OPTION_ARENA_MAX,      /* most arenas; 0: by the CPUs */
    OPTION_MMAP_THRESHOLD, /* bytes: larger requests are mapped */
    OPTION_MMAP_MAX,       /* most direct mappings at a time */
    OPTION_TRIM_THRESHOLD, /* bytes: a larger top is given back */
    OPTION_TOP_PAD,        /* bytes: a heap grows and keeps so much more */
    OPTION_TCACHE_MAX,     /* bytes: largest chunk that threads cache */
    OPTION_RUN_MAX,        /* bytes: smaller requests get objects of runs */
    OPTION_MAPPED_CACHE,   /* bytes: freed mappings kept for a while */
    OPTION_PERTURB,        /* byte that fills freed memory; 0: none */
    OPTION_COUNT,
};

extern size_t option_values[OPTION_COUNT];

static inline size_t option_get(enum option option)
{
    return __atomic_load_n(&option_values[option], __ATOMIC_RELAXED);
}

static inline void option_set(enum option option, size_t value)
{
    __atomic_store_n(&option_values[option], value, __ATOMIC_RELAXED);
}

/* Reads the environment; unknown keys and bad values are named on standard
 * error, once. Called by the first thread before it allocates; does nothing
 * when the environment is not there yet, and says so by returning false. */
bool options_read_environment(void);

#endif
