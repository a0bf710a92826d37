/*
 * quarantine.h - hardened mode: where freed blocks wait, and those among which
 * the next one is drawn.
 *
 *     free --> | oldest ......... newest | --> stock of its size --> malloc
 *                  ring: one of the          any one of 16
 *                  oldest leaves             ^
 *                                            '-- new ones, several at a time
 *
 * All blocks in it are one arena's, CACHED, and zero. A block leaves the ring
 * when there are too many or too large ones: one of the oldest, at random. Its
 * header must still be whole then. Small ones go to the stock of their size, if
 * that has room, and any one of it is handed out next; others go back to the
 * heap. Whichever way a block goes from there, it must still be zero, and its
 * header whole: if not, somebody has written to it after its free.
 *
 * A block is an odd number of words, three at least: pairs, which are aligned,
 * and the last one.
 *
 * Threads: whoever calls owns the quarantine. Each thread has one, which nobody
 * else touches, and each arena one, which is its lock's (harden.h). What takes
 * from the heap, or gives to it, wants the arena's lock.
 */
#ifndef PTM_QUARANTINE_H
#define PTM_QUARANTINE_H

#include <string.h>

#include "arena.h"
#include "base.h"
#include "chunk.h"
#include "class.h"
#include "draw.h"

struct quarantine {
    unsigned owner; /* the number of the arena whose blocks these are */
    bool is_busy;   /* of a thread: a change is under way */
    uint64_t draws; /* random bytes for choices to come */
    size_t most;    /* bytes */
    size_t bytes;
    size_t first; /* the oldest, counted without end */
    size_t count;
    void *mems[QUARANTINE_BLOCKS];
    /* The stock: by class, which is the size in units of 16. */
    uint8_t stocked[SMALL_CLASSES];
    void *stock[SMALL_CLASSES][STOCK_SLOTS];
};

/* An empty one for blocks of this arena; NULL when there is no memory. */
struct quarantine *quarantine_make(const struct arena *arena);
void quarantine_unmake(struct quarantine *quarantine);

/* Whether a block with so many usable bytes waits at all. */
static inline bool quarantine_takes(size_t usable)
{
    return usable <= QUARANTINE_BYTES / 4;
}

/* Whether there is a stock for chunks of this size. */
static inline bool quarantine_stocks(size_t size)
{
    return size <= SMALL_CLASS_MAX;
}

static inline bool quarantine_is_full(const struct quarantine *quarantine)
{
    return quarantine->count == QUARANTINE_BLOCKS ||
           quarantine->bytes > quarantine->most;
}

/* ---- blocks -------------------------------------------------------------- */

typedef uint64_t block_pair
    __attribute__((vector_size(MALLOC_ALIGNMENT), may_alias));
typedef uint64_t __attribute__((may_alias)) block_word;

/* Of many bytes, each is like the one before. */
PTM_INLINE bool quarantine_is_clear(const void *mem, size_t usable)
{
    if (usable > HARDEN_FEW_BYTES) {
        return *(const char *)mem == 0 &&
               memcmp(mem, (const char *)mem + 1, usable - 1) == 0;
    }
    const block_pair *pair = mem;
    block_pair any = {0, 0};
    for (size_t left = usable; left > sizeof *pair; left -= sizeof *pair) {
        any |= *pair++;
    }
    return (any[0] | any[1] | *(const block_word *)pair) == 0;
}

/* Ends the program: this block is not as it was left. */
_Noreturn PTM_COLD void quarantine_die(const struct quarantine *quarantine,
                                       const struct chunk *chunk);

PTM_INLINE void quarantine_verify_header(const struct quarantine *quarantine,
                                         const struct chunk *chunk)
{
    if (unlikely(!chunk_was_cached(chunk))) {
        quarantine_die(quarantine, chunk);
    }
}

PTM_INLINE void quarantine_verify(const struct quarantine *quarantine,
                                  const struct chunk *chunk)
{
    quarantine_verify_header(quarantine, chunk);
    if (unlikely(!quarantine_is_clear(chunk2mem(chunk),
                                      usable_size_of(chunk_size(chunk))))) {
        quarantine_die(quarantine, chunk);
    }
}

/* One of `choice`, which is 256 at most. A draw serves for several. */
PTM_INLINE size_t quarantine_pick(struct quarantine *quarantine, size_t choice)
{
    uint64_t draws = quarantine->draws;
    if (unlikely(draws <= UINT8_MAX)) {
        draws = draw_word();
    }
    quarantine->draws = draws >> 8;
    return (draws & UINT8_MAX) * choice >> 8;
}

/* ---- the ring ------------------------------------------------------------ */

PTM_INLINE void **quarantine_place(struct quarantine *quarantine, size_t number)
{
    return &quarantine->mems[number % QUARANTINE_BLOCKS];
}

/* Takes a block in, which is CACHED and zero. It is not full. */
PTM_INLINE void quarantine_add(struct quarantine *quarantine, void *mem,
                               size_t usable)
{
    *quarantine_place(quarantine, quarantine->first + quarantine->count) = mem;
    quarantine->count++;
    quarantine->bytes += usable;
}

/* One of the oldest leaves the ring, which is not empty. Who frees and
 * allocates in turn cannot tell where his next block will be. */
PTM_INLINE struct chunk *quarantine_let_one_go(struct quarantine *quarantine)
{
    size_t choice = min_size(quarantine->count, QUARANTINE_CHOICE);
    size_t pick = quarantine_pick(quarantine, choice);
    void **oldest = quarantine_place(quarantine, quarantine->first);
    void **chosen = quarantine_place(quarantine, quarantine->first + pick);
    struct chunk *chunk = mem2chunk(*chosen);
    *chosen = *oldest;
    quarantine->first++;
    quarantine->count--;
    quarantine_verify_header(quarantine, chunk);
    quarantine->bytes -= usable_size_of(chunk_size(chunk));
    return chunk;
}

/* ---- the stock ----------------------------------------------------------- */

/* Puts a block that has left the ring into the stock, if there is room. */
PTM_INLINE bool quarantine_stock_up(struct quarantine *quarantine,
                                    const struct chunk *chunk)
{
    size_t size = chunk_size(chunk);
    if (unlikely(!quarantine_stocks(size))) {
        return false;
    }
    size_t size_class = size / MALLOC_ALIGNMENT;
    size_t stocked = quarantine->stocked[size_class];
    if (unlikely(stocked == STOCK_SLOTS)) {
        return false;
    }
    quarantine->stock[size_class][stocked] = chunk2mem(chunk);
    quarantine->stocked[size_class] = (uint8_t)(stocked + 1);
    return true;
}

/* Any block of the stock for chunks of this size, in use; NULL: it has none. */
PTM_INLINE void *quarantine_take(struct quarantine *quarantine, size_t size)
{
    size_t size_class = size / MALLOC_ALIGNMENT;
    size_t stocked = quarantine->stocked[size_class];
    if (unlikely(stocked == 0)) {
        return NULL;
    }
    void **mems = quarantine->stock[size_class];
    void **chosen = &mems[quarantine_pick(quarantine, stocked)];
    void *mem = *chosen;
    *chosen = mems[stocked - 1];
    quarantine->stocked[size_class] = (uint8_t)(stocked - 1);
    quarantine_verify(quarantine, mem2chunk(mem));
    chunk_flip_cached(mem2chunk(mem));
    return mem;
}

/* Fills the stock for chunks of this size, which is empty, with new ones.
 * Returns how many; 0: the arena has nothing left. */
unsigned quarantine_refill(struct arena *arena, struct quarantine *quarantine,
                           size_t size);

/* ---- back to the heap ---------------------------------------------------- */

/* Gives a block back that was in it. */
void quarantine_free(struct arena *arena, struct quarantine *quarantine,
                     struct chunk *chunk);

/* The same for all that it has. */
void quarantine_empty(struct arena *arena, struct quarantine *quarantine);

#endif
