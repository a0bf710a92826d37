/*
 * guard.h - now and then a block stands alone, between pages that nobody may
 * touch.
 *
 *     | closed | ..... block| closed |block ..... | closed | freed | closed |
 * .. slot 0                slot 1               slot 2
 *
 * Of every few thousand blocks that slow calls see, one goes into a slot of its
 * own: at the end of its page or, more rarely, at the start. Who runs over it
 * by more than alignment leaves faults at once; by less, is found out by the
 * bytes around the block when it is freed. A freed slot is closed until others
 * have been used, so a use after free faults as well. Who allocated and who
 * freed it is kept, and told with the crime.
 *
 * What a slow call counts are the blocks that caches are filled with: malloc's
 * fast path knows nothing of all this. A thread's first slow calls draw how
 * many blocks pass until the next.
 *
 * Faults. When the first slot is used, a handler is set for SIGSEGV if the
 * program has none. It reports what is ours; for all else it puts the default
 * back, and the access faults again as if nobody had looked. A program's own
 * handler, now or later, is left alone: it then sees the fault instead.
 *
 * Threads. A slot is claimed by a compare-and-swap of its state to BUSY, with
 * acquire order, and belongs to the claimer until he stores another state, with
 * release order: so what is read after a load of that state (acquire) is what
 * he wrote. A slot that is BUSY in a thread lost to fork is lost to the child.
 * No lock is taken, and no function changes errno.
 */
#ifndef PTM_GUARD_H
#define PTM_GUARD_H

#include "base.h"
#include "describe.h"
#include "stack.h"

/* Where the pool begins; NULL before its first use. */
extern char *guard_pool;

size_t guard_pool_size(void);

static inline bool guard_contains(const void *address)
{
    const char *pool = __atomic_load_n(&guard_pool, __ATOMIC_ACQUIRE);
    return unlikely(pool != NULL) &&
           (uintptr_t)address - (uintptr_t)pool < guard_pool_size();
}

/* Blocks pass by: called when caches are filled. */
void guard_count(size_t blocks);

/* One more passes: is it the one? */
bool guard_is_due(void);

/* In the child of a fork: which one it will be is drawn anew. */
void guard_after_fork(void);

/* No block is guarded from now on, and no stack is walked: the program enters a
 * sandbox, which may kill whoever asks for the handler of a signal, or whether
 * a word may be read. */
void guard_be_quiet(void);

/* A block of `size` bytes that reads as zero, or NULL: too large, no slot, no
 * memory. */
void *guard_allocate(size_t size, struct call call);

/* The size of the block in use that begins there, or 0; and whether one did
 * that was freed since. Both want guard_contains(mem). */
size_t guard_size_at(const void *mem);
bool guard_was_freed(const void *mem);

/* Calls `visit` for each block in use until one call returns something else
 * than 0, and returns that, else 0. Nobody is kept from freeing one. */
int guard_visit(int (*visit)(void *mem, size_t size, void *data), void *data);

/* What follows wants guard_contains(mem), and ends the program unless a block
 * in use begins there; `where` is the function that the program called. */
size_t guard_usable_size(const void *mem, const char *where);
void guard_free(void *mem, struct call call);

/* Somebody has touched this address, which he must not: if it is one of the
 * pool's, says so and ends the program. */
void guard_report_fault(const void *address);

extern const struct description guard_description[];

#endif
