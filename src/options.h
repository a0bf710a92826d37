/*
 * options.h - what a user may set, read from anywhere.
 *
 * An option is a number; one that is 0 or 1 is a switch, which may be named
 * without a value. Each remembers where its value comes from, and a value gives
 * way only to one from the same place or from a stronger one. The places, in
 * rising order, are the origins below; settings.h reads them. A program's own
 * calls at run time come last and win.
 *
 * Threads: values and origins are read and written with relaxed atomics, each
 * for itself.
 */
#ifndef PTM_OPTIONS_H
#define PTM_OPTIONS_H

#include "base.h"
#include "fatal.h"

enum option {
    OPTION_ARENA_MAX,      /* most arenas; 0: by the CPUs */
    OPTION_MMAP_THRESHOLD, /* bytes: larger requests are mapped */
    OPTION_MMAP_MAX,       /* most direct mappings at a time */
    OPTION_TRIM_THRESHOLD, /* bytes: a larger top is given back */
    OPTION_TOP_PAD,        /* bytes: a heap grows and keeps so much more */
    OPTION_TCACHE_MAX,     /* bytes: largest chunk that threads cache */
    OPTION_RUN_MAX,        /* bytes: smaller requests get objects of runs */
    OPTION_MAPPED_CACHE,   /* bytes: freed mappings kept for a while */
    OPTION_DECAY,          /* milliseconds that freed memory stays */
    OPTION_MEMORY_LIMIT,   /* bytes the process should hold; 0: any */
    OPTION_HELPER,         /* 1: a thread may give memory back; 0: none */
    OPTION_HUGE_PAGES,     /* 1: large heaps ask for them */
    OPTION_GUARD,          /* of so many blocks one is guarded; 0: none */
    OPTION_HARDENED,       /* 1: hardened mode */
    OPTION_KINDS,          /* 1: there, new's blocks are not malloc's */
    OPTION_PROFILE,        /* bytes between two samples; 0: no profile */
    OPTION_PERTURB,        /* byte that fills freed memory; 0: none */
    OPTION_DEEPBIND,       /* switch: leave RTLD_DEEPBIND to dlopen */
    OPTION_MALLOC_HOOKS,   /* switch: heed __malloc_hook and its siblings */
    OPTION_PRINT_OPTIONS,  /* switch: tell all of them at the start */
    OPTION_COUNT,
};

enum option_origin {
    ORIGIN_DEFAULT,
    ORIGIN_PROGRAM,        /* the program's own symbol ptm_options */
    ORIGIN_FILE,           /* /etc/ptm.conf */
    ORIGIN_GLIBC_VARIABLE, /* MALLOC_ARENA_MAX and its kind */
    ORIGIN_GLIBC_TUNABLES,
    ORIGIN_PTM_OPTIONS,
    ORIGIN_RUN_TIME, /* mallopt, ptm_option_set */
};

/* Where a value stands, as messages name it. */
struct option_place {
    enum option_origin origin;
    unsigned line; /* of the file; 0 elsewhere */
};

extern size_t option_values[OPTION_COUNT];
extern struct option_place option_places[OPTION_COUNT];

static inline size_t option_get(enum option option)
{
    return __atomic_load_n(&option_values[option], __ATOMIC_RELAXED);
}

/* At run time. Whoever sets an option that limits caches calls
 * tcache_set_limits, and for the limit of memory limit_reset. */
void option_set(enum option option, size_t value);

/* Words of a list; not terminated. */
struct span {
    const char *text;
    size_t length;
};

bool span_is(struct span span, const char *text);

/* The option with this name, or OPTION_COUNT. */
enum option option_named(struct span key);

/* The option that this variable of glibc's sets ("MALLOC_ARENA_MAX=8" sets
 * OPTION_ARENA_MAX), with *value at its value; else OPTION_COUNT. */
enum option option_of_variable(const char *entry, const char **value);

/* Whether glibc.malloc.KEY means to glibc what KEY means to ptm. */
bool option_is_glibcs(enum option option);

/* The most that it takes; what is above is a bad value. */
size_t option_most(enum option option);

const char *option_key(enum option option);

/* Sets the option to what `value` says, unless a stronger place has spoken. A
 * bad value is named on standard error. */
void option_set_from(struct option_place place, enum option option,
                     struct span value);

void option_warn_unknown(struct option_place place, struct span key);

/* Appends the name of the place to a message. */
void message_place(struct message *message, struct option_place place,
                   enum option option);

#endif
