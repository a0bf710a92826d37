/*
 * paths.h - what paths.c marks and count.c counts: the ways that one operation
 * takes through an allocator.
 *
 * The number of a path is all that the tracee tells the tracer, in a register
 * at each begin marker.
 */
#ifndef PATHS_H
#define PATHS_H

enum path {
    PATH_EMPTY, /* a call of a function that only returns: taken off all */
    PATH_KNOWN, /* a function whose figures are known: proves the tracer */
    PATH_MALLOC_16,
    PATH_FREE_16,
    PATH_MALLOC_100,
    PATH_FREE_100,
    PATH_MALLOC_1000,
    PATH_FREE_1000,
    PATH_MALLOC_100000,
    PATH_FREE_100000,
    PATH_CALLOC_100,
    PATH_REALLOC_IN_PLACE,
    PATH_REALLOC_GROWING,
    PATH_MALLOC_RANDOM,
    PATH_FREE_RANDOM,
    PATH_MALLOC_FRESH,
    PATH_MALLOC_MISS,
    PATH_FREE_OVERFLOW,
    PATH_MALLOC_RANDOM_THREADS,
    PATH_FREE_RANDOM_THREADS,
    PATH_MALLOC_STREAM_64,
    PATH_FREE_STREAM_64,
    PATH_MALLOC_STREAM_MIXED,
    PATH_FREE_STREAM_MIXED,
    PATH_MALLOC_STREAM_PURE,
    PATH_FREE_STREAM_PURE,
    PATHS,
    NOT_COUNTED = PATHS /* no path: a call without markers */
};

/* Of PATH_KNOWN beyond an empty call: known() in paths.c has 12 instructions
 * besides its return, of which 7 touch memory, 2 of them atomically. */
enum { KNOWN_INSTRUCTIONS = 12, KNOWN_MEMORY = 7, KNOWN_ATOMICS = 2 };

#endif
