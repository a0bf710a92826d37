/*
 * recent.h - mappings that were freed a moment ago, kept to be used again.
 *
 * To map, touch and unmap 256 KiB costs some 130 us, nearly all of it page
 * faults; programs that cycle through large buffers would pay that each time.
 * So a few freed mappings stay as they are, contents and all:
 *
 *   1. at most RECENT_MAPPINGS of them; in all no more bytes than
 *      `mapped_cache`, and no more than mappings once had live beyond what
 *      they have now, and half of it; without a helper, who comes by later, no
 *      more than a RECENT_LIVE_SHARE of those and what has been missed (see 6);
 *   2. none for longer than `decay`, seen from the next call that maps or
 *      unmaps, or from the next purge;
 *   3. a request takes the smallest that holds it, and leaves the rest of it;
 *      if none does, the largest, to be grown by mremap: its pages are there
 *      already; if that is refused, as two side by side may be two to the
 *      kernel, it is put back;
 *   4. mappings that lie side by side become one, and one that grows takes
 *      what is kept right behind it;
 *   5. what has to go goes oldest first;
 *   6. at first RECENT_ALONE bytes may be kept without a helper. A request, or
 *      the growth of a block, that has to be mapped, and would not, had what
 *      went within RETURN_TOO_SOON been kept, allows so much more, a quarter of
 *      it, and as much again as was allowed so. What is kept, and not used for
 *      a `decay`, allows so much less.
 *
 * There is no ratchet: what is kept is bounded in bytes and time, whatever the
 * sizes were.
 *
 * Threads: whoever calls holds the lock of the table of mappings. Nothing here
 * makes a system call but to read the time: victims are returned, and unmapped
 * by the caller once the lock is released.
 */
#ifndef PTM_RECENT_H
#define PTM_RECENT_H

#include "base.h"
#include "describe.h"

struct mapping {
    char *start;
    size_t length;  /* whole pages; 0: none */
    uint64_t since; /* when it was freed, in milliseconds: recent_keep knows */
};

/* Mappings that must go. */
struct victims {
    size_t count;
    struct mapping mappings[RECENT_MAPPINGS + 1];
};

/* Keeps a mapping, or makes it or older ones victims, so that no more than
 * `most` bytes are kept. */
void recent_keep(struct mapping mapping, size_t most, struct victims *victims);

/* Takes a mapping out for a request of `length` bytes, contents undefined;
 * it may have to be grown. */
struct mapping recent_take(size_t length);

/* Puts back what was taken out and could not be grown, as old as it was; it
 * does not count as lost if it has to go. */
void recent_put_back(struct mapping mapping, size_t most,
                     struct victims *victims);

/* Takes `length` bytes that begin at `start`, if they are all kept: else false,
 * and nothing has happened. */
bool recent_take_behind(const char *start, size_t length);

/* What is allowed to be kept where there is no helper. */
size_t recent_allowance(void);

/* `length` bytes had to be mapped for a request. */
void recent_note_miss(size_t length);

/* Whether any is kept; a hint to who has no lock. */
bool recent_has_any(void);

/* Those that were kept for too long, or all, become victims. */
void recent_expire(struct victims *victims);
void recent_expire_all(struct victims *victims);

/* Forgets everything: in a child whose parent was changing it. */
void recent_forget(void);

extern const struct description recent_description[];

#endif
