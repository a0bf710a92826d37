/*
 * harden.h - what hardened mode does besides: option `hardened`.
 *
 *     | size word | the program's bytes | canary ..... | slack |
 *                                         at least a byte in all
 *
 * No block is cached then, so all calls come the slow way and find the arena
 * locked; the fast paths know nothing of this mode. Each block of an arena is a
 * byte larger than asked for, at least. What it has too much holds a canary
 * that depends on its address, and in the last byte the length of it: so the
 * exact size is known, and a single byte behind it is noticed when the block is
 * freed, resized or measured.
 *
 * A freed block is zeroed and waits in the quarantine of its arena, CACHED, so
 * that a second free finds it out. It leaves when there are too many or too
 * large ones: one of the oldest, at random. If it is not zero any more,
 * somebody has written to it.
 *
 * Blocks that were made before the options could be read have no canary. All of
 * them lie below the place that top had then: there a block without one is
 * believed.
 *
 * Threads: whoever calls holds the arena's lock, but for harden_is_on and
 * harden_release, and for harden_size, which wants the block to be the
 * caller's.
 */
#ifndef PTM_HARDEN_H
#define PTM_HARDEN_H

#include "arena.h"
#include "base.h"
#include "chunk.h"
#include "describe.h"
#include "options.h"

static inline bool harden_is_on(void)
{
    return unlikely(option_get(OPTION_HARDENED) != 0);
}

/* Called once, when the options have been read, by a thread that holds no
 * lock. */
void harden_start(void);

/* What to ask an arena for, to serve a request of `bytes`. */
static inline size_t harden_request(size_t bytes)
{
    return harden_is_on() ? bytes + 1 : bytes;
}

/* Draws the canary of a new block of an arena. */
void harden_mark(struct chunk *chunk, size_t bytes);

/* The bytes that were asked for. Ends the program when the canary is broken. */
size_t harden_size(const struct arena *arena, const struct chunk *chunk,
                   const char *where);

/* Takes a sound block into quarantine, or frees it where there is none. */
void harden_free(struct arena *arena, struct chunk *chunk);

/* Frees all that is in quarantine, if this mode is on. The caller does not hold
 * the lock. */
void harden_release(struct arena *arena);

extern const struct description harden_description[];

#endif
