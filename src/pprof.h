/*
 * pprof.h - writes a profile as Google's pprof reads it: a protocol buffer, of
 * the kind that profile.proto of that project describes, not compressed.
 *
 *     string* (mapping string* function* location*)* sample*
 *
 * Each sample is a stack and five values. A location is an address, which is
 * its own number. All addresses are collected first; then, mapping by mapping,
 * those in it are written, with the names of the functions that the mapping's
 * file has for them (names.h): go's pprof knows those of Go programs only.
 *
 * The library writes its own profile with this, and the tool that of another
 * process. Memory for the addresses is the caller's. A failed write ends it
 * all, and pprof_end tells.
 */
#ifndef PTM_PPROF_H
#define PTM_PPROF_H

#include "base.h"

enum pprof_value {
    PPROF_ALLOC_OBJECTS,
    PPROF_ALLOC_SPACE,
    PPROF_INUSE_OBJECTS,
    PPROF_INUSE_SPACE,
    PPROF_PINNED_SPACE,
    PPROF_VALUES,
};

enum {
    PPROF_PART = 2048, /* the longest part: 64 frames, or a path */
    PPROF_FRAMES = 64,
};

#define PPROF_ROOM(count) ((count) * (sizeof(uint64_t) + sizeof(bool)))

struct pprof {
    bool (*write)(void *to, const void *bytes, size_t size);
    void *to;
    bool has_failed;
    size_t strings;
    size_t mappings;
    size_t functions;
    uint64_t *addresses; /* a set of them, 0: none; then sorted */
    size_t count;
    bool *is_named; /* one for each */
    size_t written; /* how many of the sorted ones were dealt with */
    size_t used;
    unsigned char buffer[2 * PPROF_PART];
};

/* `addresses` has PPROF_ROOM for `count`, a power of two of at least twice as
 * many as there are, and is zero. `period` is the mean. */
void pprof_begin(struct pprof *pprof, uint64_t *addresses, size_t count,
                 uint64_t period);

/* Return addresses, callees first: each stands for the call before it. */
void pprof_collect(struct pprof *pprof, const uint64_t *frames, size_t depth);

/* After the last of them. */
void pprof_sort(struct pprof *pprof);

/* The lines of /proc/PID/maps, in their order; those without code are passed
 * over. */
void pprof_add_mapping(struct pprof *pprof, const char *line, size_t length);

/* After the last of them. */
void pprof_add_other_locations(struct pprof *pprof);

void pprof_add_sample(struct pprof *pprof, const uint64_t *frames, size_t depth,
                      const double values[PPROF_VALUES]);

/* True when all was written. */
bool pprof_end(struct pprof *pprof);

#endif
