/*
 * block.h - what malloc hands out, whichever kind it is: the memory of a chunk,
 * or an object of a run.
 *
 * The heap's byte for the page says which (heap.h). A chunk has its size and
 * its state in the word before it, an object in its class and its mark.
 *
 * All of these want an address whose mem2chunk lies in a heap of ours; those
 * that go on to read what is there, one that is a block, cached or not.
 */
#ifndef PTM_BLOCK_H
#define PTM_BLOCK_H

#include "base.h"
#include "chunk.h"
#include "class.h"
#include "heap.h"
#include "run.h"

/* The class of the run that the block is in, or 0: it is a chunk's. */
static inline unsigned block_run_class(const void *mem)
{
    return (unsigned)heap_run_class(heap_for_ptr(mem2chunk(mem)), mem);
}

static inline size_t block_usable_size(const void *mem)
{
    unsigned run_class = block_run_class(mem);
    return run_class != 0 ? class_size(run_class)
                          : usable_size_of(chunk_size(mem2chunk(mem)));
}

/* The class that the block joins when it is freed. */
static inline unsigned block_class(const void *mem)
{
    unsigned run_class = block_run_class(mem);
    return run_class != 0 ? run_class
                          : class_joined_by(chunk_size(mem2chunk(mem)));
}

/* From a cache to the program: the block is as it must be. */
static inline void block_hand_out(void *mem, unsigned size_class)
{
    if (class_is_run(size_class)) {
        object_wipe_mark(mem);
    } else {
        chunk_flip_cached(mem2chunk(mem));
    }
}

/* From the program to a cache. */
static inline void block_take_back(void *mem, unsigned size_class)
{
    if (class_is_run(size_class)) {
        object_set_mark(mem);
    } else {
        chunk_flip_cached(mem2chunk(mem));
    }
}

#endif
