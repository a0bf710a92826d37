/*
 * walled.h - hardened mode: a mapping between two closed pages, whose block
 * ends at the second one.
 *
 *     | closed | ... pad | header | block ........ | slack | closed |
 *              ^ page                                      ^ page
 *
 * So who runs off the end faults at once, but for the slack: the few bytes that
 * the block's alignment asks for, which hold a canary. Who steps before the
 * mapping's first page faults too. When it is freed, all of it is closed, its
 * memory goes back, and its addresses wait for a while before anything else can
 * be there: so a use after free faults.
 *
 * Threads: walled_map needs no lock; for walled_wait and walled_wake_all the
 * caller holds that of the table of mappings. They make no system calls.
 */
#ifndef PTM_WALLED_H
#define PTM_WALLED_H

#include "base.h"
#include "chunk.h"
#include "recent.h"

struct walled {
    struct chunk *chunk; /* NULL: refused */
    size_t length;       /* from the chunk to the second closed page */
    size_t slack;        /* less than the alignment */
};

/* A block of `size` bytes at a multiple of `alignment`, which is at most a
 * page. Its header is not written yet, its slack is. */
struct walled walled_map(size_t alignment, size_t size);

/* Whether the slack is as it was. */
bool walled_is_sound(const struct walled *walled);

/* Closes it, and says what there is to wait, or to unmap. */
struct mapping walled_close(const struct walled *walled);

/* It waits; those for which there is no room any more become victims. */
void walled_wait(struct mapping mapping, struct victims *victims);
void walled_wake_all(struct victims *victims);

/* In a child whose parent was changing it. */
void walled_forget(void);

#endif
