/*
 * class.h - the sizes that caches deal in.
 *
 * A class is a kind of block and its size. Chunks up to 1 KiB have a class for
 * each multiple of 16, numbered by size / 16. Above, an octave has 8, each 16
 * bytes more than a round number, so that a request of a power of two and its
 * size word do not end up in the next class. Objects of runs, which have no
 * header, have one for each multiple of 16 up to 1 KiB:
 *
 *              small chunks    larger chunks              objects of runs
 *     number   2   3  ...  64    65    66   ...    129    130  131  ...  193
 *     size    32  48     1024  1040  1168       262160     16   32      1024
 *
 * A request is served by the smallest class that holds it, and its chunk is
 * made as large as the class says: at most an eighth is lost, half of that as
 * a rule. Twice as many classes lose half as much there, and more than that in
 * caches, as each class needs a stock of its own. So does each class of
 * objects: where there are few, requests for two or four of them are served by
 * the largest of these. A chunk that is freed joins the largest class that it
 * can serve; one that an aligned request or a realloc has cut may be a little
 * larger than its class.
 *
 * Requests up to 1 KiB are told apart in steps of 8 bytes: that is as fine as
 * both kinds need, since the usable sizes of chunks are 8 above multiples of
 * 16. Whether such a step is served by a chunk or by an object is for each
 * arena to say.
 */
#ifndef PTM_CLASS_H
#define PTM_CLASS_H

#include "base.h"
#include "size.h"

enum {
    SMALL_CLASS_SHIFT = 10,
    CACHED_MAX_SHIFT = 18,
    CLASS_STEP_SHIFT = 3,
    CLASS_EXTRA = MALLOC_ALIGNMENT, /* of the large ones */
    SMALL_CLASSES = (1 << SMALL_CLASS_SHIFT) / MALLOC_ALIGNMENT + 1,
    CHUNK_CLASSES =
        SMALL_CLASSES + 1 +
        ((CACHED_MAX_SHIFT - SMALL_CLASS_SHIFT) << CLASS_STEP_SHIFT),
    RUN_CLASSES = (1 << SMALL_CLASS_SHIFT) / MALLOC_ALIGNMENT,
    CLASS_COUNT = CHUNK_CLASSES + RUN_CLASSES,
    REQUEST_STEP = 8,
    /* What to take off a number of octaves and steps that begins at one byte,
     * so that 1 KiB + CLASS_EXTRA has the first number that is not small. */
    LARGE_CLASS_BIAS =
        ((SMALL_CLASS_SHIFT + 1) << CLASS_STEP_SHIFT) - SMALL_CLASSES,
};

/* Chunk sizes that have a class: up to these. */
#define SMALL_CLASS_MAX  ((size_t)1 << SMALL_CLASS_SHIFT)
#define CACHED_CHUNK_MAX (((size_t)1 << CACHED_MAX_SHIFT) + CLASS_EXTRA)

/* The largest object of a run. */
#define RUN_OBJECT_MAX SMALL_CLASS_MAX

/* The large class of the largest round size that is at most `size`, which is
 * 512 or more. */
static inline unsigned large_class_from(size_t size)
{
    unsigned bit = highest_bit(size);
    return (unsigned)(size >> (bit - CLASS_STEP_SHIFT)) +
           (bit << CLASS_STEP_SHIFT) - LARGE_CLASS_BIAS;
}

/* The class that serves a chunk size of 32 to CACHED_CHUNK_MAX bytes. */
static inline unsigned class_serving(size_t chunk_size)
{
    return chunk_size <= SMALL_CLASS_MAX
               ? (unsigned)(chunk_size / MALLOC_ALIGNMENT)
               : large_class_from(chunk_size - CLASS_EXTRA - 1) + 1;
}

/* The class that a freed chunk of that size joins. */
static inline unsigned class_joined_by(size_t chunk_size)
{
    return chunk_size <= SMALL_CLASS_MAX
               ? (unsigned)(chunk_size / MALLOC_ALIGNMENT)
               : large_class_from(chunk_size - CLASS_EXTRA);
}

/* The same for the low half of the size word of a chunk above SMALL_CLASS_MAX:
 * flags are less than the steps of sizes. */
static inline unsigned class_joined_by_large(uint32_t low)
{
    return large_class_from(low - CLASS_EXTRA);
}

/* The class of the chunks that serve a request above RUN_OBJECT_MAX: of the
 * least whose size without CLASS_EXTRA is not below the request's without the
 * size word's share of it. */
static inline unsigned class_serving_large(size_t request)
{
    return large_class_from(request + sizeof(size_t) - CLASS_EXTRA - 1) + 1;
}

/* Of chunks above 1 KiB. */
static inline bool class_is_large(unsigned size_class)
{
    return size_class >= SMALL_CLASSES && size_class < CHUNK_CLASSES;
}

static inline bool class_is_run(unsigned size_class)
{
    return size_class >= CHUNK_CLASSES;
}

/* The class of the objects that serve a request of up to RUN_OBJECT_MAX. */
static inline unsigned run_class_serving(size_t request)
{
    size_t object = round_up(max_size(request, 1), MALLOC_ALIGNMENT);
    return CHUNK_CLASSES + (unsigned)(object / MALLOC_ALIGNMENT) - 1;
}

static inline size_t class_size_of_run(unsigned size_class)
{
    return (size_class - CHUNK_CLASSES + 1) * (size_t)MALLOC_ALIGNMENT;
}

/* The class of objects that serves for this one as well while there is little
 * demand for either: an octave has eight of them, and each size below 256 has
 * its own. An object of it is at a multiple of any alignment that one of this
 * class is. */
static inline unsigned run_class_shared(unsigned size_class)
{
    size_t size = class_size_of_run(size_class);
    size_t step = ((size_t)1 << highest_bit(size - 1)) >> CLASS_STEP_SHIFT;
    return run_class_serving(round_up(size, max_size(step, MALLOC_ALIGNMENT)));
}

/* The size of an object that is at a multiple of `alignment`, as all of its
 * run are, and holds the request. Neither is above PTRDIFF_MAX. */
static inline size_t object_for_aligned(size_t alignment, size_t request)
{
    return round_up(max_size(request, 1), alignment);
}

/* The largest request that is served like this one, of RUN_OBJECT_MAX at most:
 * those above the one of the step before are so. */
static inline size_t request_step_end(size_t request)
{
    return round_up(request, REQUEST_STEP);
}

/* The size of a class: of its chunks, or of its objects. */
static inline size_t class_size(unsigned size_class)
{
    if (size_class < SMALL_CLASSES) {
        return (size_t)size_class * MALLOC_ALIGNMENT;
    }
    if (class_is_run(size_class)) {
        return class_size_of_run(size_class);
    }
    unsigned large = size_class - SMALL_CLASSES;
    unsigned bit = SMALL_CLASS_SHIFT + (large >> CLASS_STEP_SHIFT);
    size_t step = large % (1 << CLASS_STEP_SHIFT);
    return ((size_t)1 << bit) + (step << (bit - CLASS_STEP_SHIFT)) +
           CLASS_EXTRA;
}

/* How many blocks a magazine of this class holds: the unit in which thread
 * caches and depots trade. */
static inline unsigned class_magazine_size(unsigned size_class)
{
    size_t blocks = MAGAZINE_BYTES / class_size(size_class);
    return (unsigned)min_size(max_size(blocks, MAGAZINE_MIN), MAGAZINE_MAX);
}

/* How many blocks of this class a thread's cache holds at most. */
static inline unsigned class_slots(unsigned size_class)
{
    unsigned least = CACHE_MAGAZINES * class_magazine_size(size_class);
    size_t blocks = CLASS_CACHE_BYTES / class_size(size_class);
    if (class_is_run(size_class)) {
        return (unsigned)max_size(least, OBJECT_SLOTS_MIN);
    }
    return class_is_large(size_class) && blocks >= least
               ? (unsigned)min_size(blocks, LARGE_SLOTS_MAX)
               : least;
}

#endif
