/*
 * mapped.h - blocks with a mapping of their own, and the table of them.
 *
 *     page                                             page
 *     | pad | prev_size = length | M | user block ...    |
 *           chunk                    mem
 *           |<------------------ length --------------->|
 *
 * The pad is there for alignments above 16; it is always less than a page, so
 * the mapping begins at the page of the chunk.
 *
 * Which mappings exist is written in a table outside of them: a hash table
 * from chunk to length, open addressing, linear probing. What a program frees
 * is looked up there, so foreign, wild and twice freed pointers are told from
 * ours without being touched, and what stands in a block's header is checked
 * and never believed.
 *
 * A freed mapping is kept for a moment in case it is wanted again: recent.h. In
 * hardened mode mappings are walled: walled.h.
 *
 * Threads: every function takes the table's lock itself, which is the last in
 * rank. System calls are made outside of it. No function changes errno.
 */
#ifndef PTM_MAPPED_H
#define PTM_MAPPED_H

#include "base.h"
#include "chunk.h"
#include "describe.h"
#include "kind.h"

struct mapped_totals {
    size_t count;
    size_t bytes;
    size_t max_count;
    size_t max_bytes;
};

/* What became of a chunk that was to be freed or resized. */
enum mapped_verdict {
    MAPPED_OK,
    MAPPED_UNKNOWN,   /* no such mapping */
    MAPPED_DESTROYED, /* its header is not what we wrote */
    MAPPED_OVERRUN,   /* nor are the bytes behind it */
    MAPPED_REFUSED,   /* out of memory; nothing has changed */
};

/* A block of `size` usable bytes whose mem is a multiple of `alignment`, a
 * power of two of at least 16. *is_zero says whether it reads as zero. NULL
 * when refused. */
struct chunk *mapped_allocate(size_t alignment, size_t size, bool *is_zero);

enum mapped_verdict mapped_free(struct chunk *chunk);

/* Makes *chunk hold `size` usable bytes, perhaps elsewhere: *chunk says
 * where. */
enum mapped_verdict mapped_resize(struct chunk **chunk, size_t size);

/* A live mapping, as its owner sees it: all of that is as it was. */
struct mapped_block {
    size_t usable;
    enum block_kind kind;
};
enum mapped_verdict mapped_look(const struct chunk *chunk,
                                struct mapped_block *block);

/* Of a block that is the caller's; does nothing for other addresses. */
void mapped_set_kind(const struct chunk *chunk, enum block_kind kind);

/* Its usable bytes. */
enum mapped_verdict mapped_usable_size(const struct chunk *chunk,
                                       size_t *usable);

/* Unmaps what was freed and is still kept; true when there was any. */
bool mapped_trim(void);

/* The same for what was freed too long ago. */
void mapped_expire(void);

/* Whether any is kept; a hint that takes no lock. */
bool mapped_keeps_any(void);

struct mapped_totals mapped_get_totals(void);

/* How many direct mappings there are just now; takes no lock. */
size_t mapped_count(void);

/* Calls `visit` for each live mapping, under the table's lock, until one call
 * returns something else than 0, and returns that, else 0. */
int mapped_visit(int (*visit)(void *mem, size_t usable, void *data),
                 void *data);

/* Checks table, headers and totals against each other; NULL, or the first
 * thing that is wrong, with *where. */
const char *mapped_inspect(const void **where);

/* In the child of a fork: gives up a lock whose holder is gone and counts
 * anew. */
void mapped_after_fork(void);

extern const struct description mapped_description[];

#endif
