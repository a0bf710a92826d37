/*
 * harden.h - what hardened mode does besides: option `hardened`.
 *
 *     | size word | the program's bytes | canary ..... | slack |
 *                                         at least a byte in all
 *
 * No block is cached then, so the fast paths know nothing of this mode. Each
 * block of an arena is a byte larger than asked for, at least. What it has too
 * much holds a canary that depends on its address, and in the last byte the
 * length of it and the kind (kind.h): so the exact size is known, and a single
 * byte behind it is noticed when the block is freed, resized or measured.
 *
 * A freed block is zeroed and waits in quarantine (quarantine.h), CACHED, so
 * that a second free finds it out, and small ones are handed out from its
 * stock. Neither the order of carving nor that of reuse can be foreseen, and
 * bins and neighbours are left alone as a rule.
 *
 *     malloc <-- thread's quarantine <-- free      of blocks of its arena
 *                   | ^   several at a time
 *                   v |
 *                  arena  <-- arena's quarantine <-- free   of all others
 *
 * A thread's quarantine is for the blocks of the arena that served the thread
 * when it was last short of some, and goes with it to another, empty. It takes
 * the lock only to give blocks back or to get new ones. All of them together
 * hold QUARANTINES_BYTES and a little: threads that come when they could hold
 * so much have small ones. A thread's end gives back what is in it, and so do
 * malloc_trim, and want of memory, for the thread that meets it.
 *
 * Two threads that free a block at the same moment, whichever quarantines they
 * have: each changes the seal by a compare-and-swap from IN USE to CACHED, one
 * succeeds, and the other finds what every second free finds. What the caller
 * of free has verified before is his as long as he is not a criminal; a
 * neighbour's header that is just being changed, and what else is not as usual,
 * is looked at again under the lock, where crimes are told.
 *
 * Signals and fork. `is_busy` is set, by plain stores of the thread itself,
 * while its quarantine changes, or a block is looked at that is to go there: a
 * handler that comes in between goes the long way, and so does the child that
 * it forks, until it returns to what it has interrupted. In a child the
 * quarantines of other threads are lost, with what is in them, as are caches;
 * its own is whole, or, where the arena was lost, dropped when it next needs
 * the lock.
 *
 * Blocks that were made before the options could be read have no canary. All of
 * them lie below the place that top had then: there a block without one is
 * believed.
 *
 * Locks: who names an arena holds its lock, but for harden_is_on and
 * harden_release, and for those that ask for a block's size or change its kind:
 * they want it to be the caller's. What names none takes it where it must.
 */
#ifndef PTM_HARDEN_H
#define PTM_HARDEN_H

#include "arena.h"
#include "base.h"
#include "chunk.h"
#include "describe.h"
#include "kind.h"
#include "options.h"
#include "tcache.h"

static inline bool harden_is_on(void)
{
    return unlikely(option_get(OPTION_HARDENED) != 0);
}

/* Whether the arena's blocks are hardened: those of the program's own are not.
 */
static inline bool harden_covers(const struct arena *arena)
{
    return harden_is_on() && !arena->is_private;
}

/* Called once, when the options have been read, by a thread that holds no
 * lock. */
void harden_start(void);

/* What to ask an arena for, to serve a request of `bytes`. */
static inline size_t harden_request(size_t bytes)
{
    return harden_is_on() ? bytes + 1 : bytes;
}

/* Any of the blocks of this chunk size, of the arena's stock, in use; NULL when
 * the arena has nothing left. */
void *harden_take(struct arena *arena, size_t size);

/* A small block of the thread's stock for so many bytes, zero but for its
 * canary; NULL: it has none. Or else new ones for the stock are taken first;
 * NULL: the long way may have one. */
void *harden_find_stocked(size_t bytes);
void *harden_find(size_t bytes);

/* What malloc tries first, if this mode is on and it is not to be seen. */
static inline void *harden_malloc(size_t bytes)
{
    return unlikely(bytes - 1 < tcache_limit(&tcache_limits.stocked))
               ? harden_find_stocked(bytes)
               : NULL;
}

/* Draws the canary of a new block of an arena, which is malloc's. */
void harden_mark(struct chunk *chunk, size_t bytes);

/* The bytes that were asked for. Ends the program when the canary is broken. */
size_t harden_size(const struct arena *arena, const struct chunk *chunk,
                   const char *where);

/* The same of a block that may be another's, who is just using it: one whose
 * canary is broken, or not drawn yet, is as large as its chunk. */
size_t harden_size_as_it_is(const struct chunk *chunk);

/* The same for a block that is to be freed or to move: it must be malloc's. */
size_t harden_size_of_mallocs(const struct arena *arena,
                              const struct chunk *chunk, const char *where);

/* Takes a sound block into the arena's quarantine, or frees it where there is
 * none. Says whether the heap has got any back. */
bool harden_free(struct arena *arena, struct chunk *chunk);

/* Takes a sound small block of the arena of the thread's quarantine into it.
 * False is no verdict, and nothing has happened; `mem` may be anything. */
bool harden_free_own(void *mem);

/* The same for a thread that may have had no quarantine so far. */
bool harden_free_first(void *mem);

/* What free tries first, if this mode is on and it is not to be seen. */
static inline bool harden_free_quickly(void *mem)
{
    return unlikely(tcache_low_limit(&tcache_limits.quarantined) != 0) &&
           harden_free_own(mem);
}

/* Frees all that is in quarantine and in stock, if this mode is on: that of an
 * arena, that of this thread. The caller does not hold the lock. */
void harden_release(struct arena *arena);
void harden_release_own(void);

/* This thread has a quarantine no longer, and gets no other. */
void harden_end_thread(void);

/* In the child of a fork: the quarantines of other threads are lost. */
void harden_after_fork(void);

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
