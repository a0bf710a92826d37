/*
 * zero.h - blocks of no bytes.
 *
 *     | 16 | 16 | 16 | ...           64 Ki addresses that nobody may touch
 *       1    0    1                  one bit each: in use
 *
 * malloc(0) gives an address of its own in a region that may be neither read
 * nor written, so that what uses the block beyond its no bytes faults at once.
 * Which addresses are in use is written elsewhere, one bit each. When there is
 * no region, or no address is found soon, the caller makes an ordinary block.
 *
 * Threads: bits are set and cleared by one atomic operation, and nothing else
 * depends on them but who owns the address: relaxed order is enough to give
 * each address to one thread only; how it comes to another that frees it is
 * the program's affair. No lock, so nothing to repair after a fork.
 */
#ifndef PTM_ZERO_H
#define PTM_ZERO_H

#include "base.h"

/* An address, or NULL. */
void *zero_allocate(void);

/* Where the region begins; NULL before the first block of it. */
extern char *zero_region;

/* Whether the address lies in the region: its blocks are multiples of 16. */
static inline bool zero_contains(const void *address)
{
    const char *region = __atomic_load_n(&zero_region, __ATOMIC_ACQUIRE);
    return region != NULL &&
           (uintptr_t)address - (uintptr_t)region < ZERO_REGION;
}

/* Whether a block of the region is in use. */
bool zero_is_live(const void *mem);

/* Calls `visit` for each block in use until one call returns something else
 * than 0, and returns that, else 0. */
int zero_visit(int (*visit)(void *mem, size_t size, void *data), void *data);

/* False when it was not in use. */
bool zero_free(void *mem);

#endif
