/*
 * class.h - the sizes that caches deal in.
 *
 * A class has one chunk size. Up to 1 KiB each multiple of 16 is a class of
 * its own, numbered by size / 16. Above, an octave has 16:
 *
 *     number   2   3  ...  64    65    66   ...   80    81    ...  192
 *     size    32  48     1024  1088  1152      2048   2176      262144
 *
 * A request is served by the smallest class that holds it, and its chunk is
 * made as large as the class says: at most a sixteenth is lost. A chunk that
 * is freed joins the largest class that it can serve; one that an aligned
 * request or a realloc has cut may be a little larger than its class.
 */
#ifndef PTM_CLASS_H
#define PTM_CLASS_H

#include "base.h"
#include "size.h"

enum {
    SMALL_CLASS_SHIFT = 10,
    CACHED_MAX_SHIFT = 18,
    CLASS_STEP_SHIFT = 4,
    SMALL_CLASSES = (1 << SMALL_CLASS_SHIFT) / MALLOC_ALIGNMENT + 1,
    CLASS_COUNT = SMALL_CLASSES + (CACHED_MAX_SHIFT - SMALL_CLASS_SHIFT) *
                                      (1 << CLASS_STEP_SHIFT),
};

/* Chunk sizes that have a class: up to these. */
#define SMALL_CLASS_MAX  ((size_t)1 << SMALL_CLASS_SHIFT)
#define CACHED_CHUNK_MAX ((size_t)1 << CACHED_MAX_SHIFT)

/* Numbers sizes by their highest bit and the four bits below it. */
static inline unsigned large_class_from(size_t size)
{
    unsigned bit = highest_bit(size);
    unsigned step = (unsigned)(size >> (bit - CLASS_STEP_SHIFT)) & 15;
    return SMALL_CLASSES + ((bit - SMALL_CLASS_SHIFT) << CLASS_STEP_SHIFT) +
           step;
}

/* The class that serves a chunk size of 32 to CACHED_CHUNK_MAX bytes. */
static inline unsigned class_serving(size_t chunk_size)
{
    return chunk_size <= SMALL_CLASS_MAX
               ? (unsigned)(chunk_size / MALLOC_ALIGNMENT)
               : large_class_from(chunk_size - 1);
}

/* The class that a freed chunk of that size joins. */
static inline unsigned class_joined_by(size_t chunk_size)
{
    return chunk_size <= SMALL_CLASS_MAX
               ? (unsigned)(chunk_size / MALLOC_ALIGNMENT)
               : large_class_from(chunk_size) - 1;
}

/* The chunk size of a class. */
static inline size_t class_size(unsigned size_class)
{
    if (size_class < SMALL_CLASSES) {
        return (size_t)size_class * MALLOC_ALIGNMENT;
    }
    unsigned large = size_class - SMALL_CLASSES;
    unsigned bit = SMALL_CLASS_SHIFT + (large >> CLASS_STEP_SHIFT);
    size_t step = (large & 15) + 1;
    return ((size_t)1 << bit) + (step << (bit - CLASS_STEP_SHIFT));
}

/* How many blocks a magazine of this class holds: the unit in which thread
 * caches and depots trade. */
static inline unsigned class_magazine_size(unsigned size_class)
{
    size_t blocks = MAGAZINE_BYTES / class_size(size_class);
    return (unsigned)min_size(max_size(blocks, MAGAZINE_MIN), MAGAZINE_MAX);
}

#endif
