/*
 * owner.h - whose memory is it? One byte for each 64 MiB of address space.
 *
 *     heap_tag[address >> 26]    0        not in a heap of ours
 *                                1..254   the number of the arena whose heap
 *                                         begins at that 64 MiB boundary
 *
 * Free asks it only of addresses that have no place in the table of pages
 * (tags.h), which says the same and more, and of pages that are said there to
 * be of any of several arenas.
 *
 * The table takes 2 MiB (4 on aarch64) of zero pages, of which a process
 * touches one or two. Reading it does not touch the address in question, so a
 * wild or foreign pointer is turned away without a fault. A slot with a tag
 * may still hold foreign memory behind a heap that reserved less than 64 MiB:
 * the heap's own bounds decide.
 *
 * Threads: a tag is stored (release) after the heap's header is written and
 * cleared before the heap is unmapped. Whoever holds a pointer into the heap
 * got it after the tag was set, from malloc or through his own
 * synchronisation; so a relaxed load finds it.
 */
#ifndef PTM_OWNER_H
#define PTM_OWNER_H

#include "base.h"

#define OWNER_SLOTS ((size_t)1 << (ADDRESS_BITS - HEAP_MAX_SHIFT))

extern uint8_t heap_tag[OWNER_SLOTS];

/* The arena's number, or 0. No program has an address behind the table. */
static inline unsigned owner_of(const void *address)
{
    size_t slot = (uintptr_t)address >> HEAP_MAX_SHIFT;
    return likely(slot < OWNER_SLOTS)
               ? __atomic_load_n(&heap_tag[slot], __ATOMIC_RELAXED)
               : 0;
}

static inline void owner_set(const void *heap, unsigned owner)
{
    __atomic_store_n(&heap_tag[(uintptr_t)heap >> HEAP_MAX_SHIFT],
                     (uint8_t)owner, __ATOMIC_RELEASE);
}

/* Called once, before the first tag is set. */
void owner_prepare(void);

#endif
