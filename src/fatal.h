/*
 * fatal.h - lines to standard error, and the two ways to end the program: for
 * a caller's crime, and for an error of our own.
 *
 * A message is built on the stack by a few appending functions and written
 * with one system call: nothing is allocated, no lock is taken, and it works
 * in a signal handler and in a corrupt process.
 */
#ifndef PTM_FATAL_H
#define PTM_FATAL_H

#include <stddef.h>

#include "base.h"

struct message {
    size_t length;
    char text[256]; /* not terminated; what does not fit is cut off */
};

void message_start(struct message *message);
void message_text(struct message *message, const char *text);
void message_bytes(struct message *message, const char *text, size_t length);
void message_number(struct message *message, size_t number);
void message_hex(struct message *message, size_t number);

/* Ends the line and writes it to standard error. */
void message_write(struct message *message);

/* The functions that a program hands blocks to, as fatal lines name them;
 * compared by address. */
extern const char where_free[];
extern const char where_realloc[];
extern const char where_usable_size[];

/* What a fatal line tells of the place. `where` is the function that the
 * program called, or "heap" for damage that was met on the way. */
struct crime {
    const char *where;
    const char *what;
    const void *address; /* as the program knows it */
    size_t size;         /* usable bytes; not told when 0 */
    size_t word;         /* told when has_word */
    unsigned arena;      /* not told when 0 */
    bool has_word;
};

_Noreturn PTM_COLD void assertion_failed(const char *condition,
                                         const char *file, int line);

/* Our own error, never a caller's. Compiled always, checked in checked
 * builds. */
#define ptm_assert(condition)                                                  \
    do {                                                                       \
        if (PTM_CHECKED && unlikely(!(condition))) {                           \
            assertion_failed(#condition, __FILE__, __LINE__);                  \
        }                                                                      \
    } while (0)

/* Writes "ptm: where: what: address A, size N, arena K". */
PTM_COLD void fatal_say(const struct crime *crime);

/* Writes it and aborts. */
_Noreturn PTM_COLD void fatal_crime(const struct crime *crime);

#endif
