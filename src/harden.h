/*
 * harden.h - what hardened mode does besides: option `hardened`.
 *
 *     | size word | the program's bytes | canary ..... | slack |
 *                                         at least a byte in all
 *
 * No block is cached then, so all calls come the slow way and find the arena
 * locked; the fast paths know nothing of this mode. Each block of an arena is a
 * byte larger than asked for, at least. What it has too much holds a canary
 * that depends on its address, and in the last byte the length of it and the
 * kind (kind.h): so the exact size is known, and a single byte behind it is
 * noticed when the block is freed, resized or measured.
 *
 * A freed block is zeroed and waits in the quarantine of its arena, CACHED, so
 * that a second free finds it out. It leaves when there are too many or too
 * large ones: one of the oldest, at random. If it is not zero any more,
 * somebody has written to it.
 *
 * Small blocks go from there to the stock, CACHED as well, which has some of
 * each size and hands out any one of them; where it has none, it carves several
 * at a time. So neither the order of carving nor that of reuse can be foreseen,
 * and bins and neighbours are left alone as a rule.
 *
 * Blocks that were made before the options could be read have no canary. All of
 * them lie below the place that top had then: there a block without one is
 * believed.
 *
 * Threads: whoever calls holds the arena's lock, but for harden_is_on and
 * harden_release, and for those that ask for a block's size or change its kind:
 * they want it to be the caller's.
 */
#ifndef PTM_HARDEN_H
#define PTM_HARDEN_H

#include "arena.h"
#include "base.h"
#include "chunk.h"
#include "describe.h"
#include "kind.h"
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

/* Whether the stock serves a chunk of this size. */
static inline bool harden_has_stock(size_t size)
{
    return size <= SMALL_CLASS_MAX;
}

/* Any of the blocks of this chunk size, which the stock serves, in use; NULL
 * when the arena has nothing left. */
void *harden_take(struct arena *arena, size_t size);

/* Draws the canary of a new block of an arena, which is malloc's. */
void harden_mark(struct chunk *chunk, size_t bytes);

/* The bytes that were asked for. Ends the program when the canary is broken. */
size_t harden_size(const struct arena *arena, const struct chunk *chunk,
                   const char *where);

/* The same for a block that is to be freed or to move: it must be malloc's. */
size_t harden_size_of_mallocs(const struct arena *arena,
                              const struct chunk *chunk, const char *where);

/* Takes a sound block into quarantine, or frees it where there is none. Says
 * whether the heap has got any back. */
bool harden_free(struct arena *arena, struct chunk *chunk);

/* Frees all that is in quarantine and in stock, if this mode is on. The caller
 * does not hold the lock. */
void harden_release(struct arena *arena);

/* Another kind of a block. Ends the program unless it was `from`, or has no
 * canary. */
void harden_change_kind(const struct arena *arena, struct chunk *chunk,
                        enum block_kind from, enum block_kind to,
                        const char *where);

/* Ends the program: this block, of that kind, is none that `where` takes. */
_Noreturn PTM_COLD void harden_die_of_kind(const void *mem, size_t size,
                                           enum block_kind kind,
                                           const char *where);

extern const struct description harden_description[];

#endif
