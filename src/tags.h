/*
 * tags.h - whose page is it, and what is in it? Two bytes for each 16 KiB.
 *
 *     tags[(address - tags_start) >> 14]    0               not a heap's
 *                                           owner | byte    a page of a heap
 *
 *     owner, upper half    the number that the owner table has for the heap, or
 *                          COMMON, where its arena is: see tcache.h
 *     byte, lower half     what the heap has for the page: see heap.h
 *
 * One load in place of two, and one comparison with what a thread's cache has
 * for its owner, say whether a block is an object of the thread's arena, and of
 * which class; another one, whether it may be a chunk.
 *
 * All of the address space would take 16 GiB. So the table is of a window of
 * 16 GiB, which lies around the first heap, most of it below, where the kernel
 * puts what comes later. For an address outside, the owner table and the heap
 * say the same: so a heap there costs its frees a dozen instructions more.
 *
 * Of a heap those pages have a tag that were once committed. The table is bss
 * of which a heap touches 4 or 8 KiB.
 *
 * Threads: an entry is written by who holds the lock of the heap's arena, and
 * read without. It says what the owner table and the heap's byte say, a moment
 * later; the reasons why that may be read so are theirs (owner.h, run.h). While
 * a heap is there, the owner in its tags changes once at most, from its arena's
 * number to COMMON: whoever finds either is right (tcache.h). The
 * start of the window is set once, before the first heap is known to anyone: so
 * who has a pointer into a heap sees it.
 */
#ifndef PTM_TAGS_H
#define PTM_TAGS_H

#include "base.h"

enum {
    TAG_PAGE_SHIFT = 14,
    TAG_OWNER_SHIFT = 8,
    TAG_COMMON = 255, /* no arena's number */
};

#define TAGS ((size_t)1 << (TAGS_WINDOW_SHIFT - TAG_PAGE_SHIFT))

extern uint16_t tags[TAGS];
extern size_t tags_start;
extern bool tags_common[TAG_COMMON];

/* Where the tag of an address is; behind the table, if it is not in the
 * window. */
static inline size_t tags_place(const void *address)
{
    return distance_from((uintptr_t)address, &tags_start) >> TAG_PAGE_SHIFT;
}

static inline unsigned tag_at(size_t place)
{
    return __atomic_load_n(&tags[place], __ATOMIC_RELAXED);
}

static inline unsigned tag_of(unsigned owner, unsigned byte)
{
    return owner << TAG_OWNER_SHIFT | byte;
}

static inline unsigned tag_owner(unsigned tag)
{
    return tag >> TAG_OWNER_SHIFT;
}

static inline unsigned tag_byte(unsigned tag)
{
    return tag & ((1u << TAG_OWNER_SHIFT) - 1);
}

/* The owner in the tags of the arena with this number. Who does not hold its
 * lock may learn late that it is common. */
static inline unsigned tags_owner(unsigned number)
{
    return __atomic_load_n(&tags_common[number], __ATOMIC_RELAXED) ? TAG_COMMON
                                                                   : number;
}

/* From now on that is COMMON. The caller has the arena's lock, and sets the
 * tags of its heaps anew. */
void tags_make_common(unsigned number);

/* A heap comes to be here. The first one says where the window is. */
void tags_prepare(const void *heap);

/* The pages from this one on have these bytes, and that owner; or, if that is
 * 0, no tag any more. */
void tags_set(const void *page, const uint8_t *bytes, size_t count,
              unsigned owner);

/* The same for one, whose owner it has already. */
void tags_set_byte(const void *page, unsigned byte);

#endif
