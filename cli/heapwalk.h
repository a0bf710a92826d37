/*
 * heapwalk.h - one heap of a process, block by block.
 *
 *     | header | chunk | free | chunk | span: o o o|o o o|o o  | ... | top |
 *
 * The walk goes from size word to size word, and believes none that does not
 * carry its seal, which no other bytes have but by a chance of 1 in 2^32. The
 * program runs meanwhile and moves the bounds of its chunks: where a word is
 * not sound, the chunk before is read again; where that does not help, the heap
 * is torn there, and the walk goes on at the next sound word. A process that
 * was stopped, wherever that was, has no such place, if all is sound: a chunk
 * never leads to a header that is not written yet. Only top is at odds with its
 * heap while that becomes larger or smaller, and is told by that.
 *
 * A chunk that is a span of runs (src/run.h) is shown object by object: what
 * its runs have is free, what carries the mark of a freed object is cached, and
 * all else is live. Pages of it that are no runs are free. The marks lie in the
 * objects, so to look at them is to read every page: without that, what is
 * cached is shown as live, and the tables of runs are all that is read.
 *
 * Every byte from the heap's start to its end is in one of the blocks that the
 * visitor is shown, in order.
 */
#ifndef HEAPWALK_H
#define HEAPWALK_H

#include "layout.h"

enum block_state {
    block_live,     /* with the program */
    block_cached,   /* with a thread's cache, in a depot, or on its way */
    block_free,     /* a free chunk, or a free object of a run */
    block_top,      /* the free chunk that ends the heap */
    block_overhead, /* header, fence, the ends of runs */
    block_torn,     /* no sound size word */
    block_state_count
};

struct block {
    uint64_t address; /* of the chunk, its size word included */
    uint64_t size;
    enum block_state state;
    uint64_t mem;       /* what the program knows it by */
    uint32_t run_class; /* object size in a run; 0: a chunk */
};

struct heap_view {
    uint64_t address;
    uint64_t arena; /* address */
    unsigned arena_number;
    uint32_t arena_flags;
    uint64_t committed, reserved;
    uint64_t runs; /* table of runs, 0: none */
    bool without_marks;
};

/* Fills *heap with what the header at this address says; false when that is no
 * heap of the arena. */
bool heap_view_read(struct heap_view *heap, const struct memory *memory,
                    const struct layout *layout, uint64_t address,
                    unsigned arena_number);

/* How many bytes the table of a heap's runs has; 0: there are no runs. */
uint64_t heap_runs_size(const struct layout *layout);

typedef void block_visitor(void *context, const struct block *block);

/* `states` has the states of the committed pages. Returns how many times the
 * heap was torn. */
unsigned heap_walk(const struct heap_view *heap, const struct memory *memory,
                   const struct layout *layout, const unsigned char *states,
                   block_visitor *visit, void *context);

#endif
