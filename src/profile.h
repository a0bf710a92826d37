/*
 * profile.h - who asked for the memory: some of the allocations, picked by
 * sampler.h, with the stacks of their callers.
 *
 *     buckets      samples: picked, and not freed      stacks, told apart
 *     |  | ----->  | mem | size | weight | stack | -->  | sums | frame ... |
 *     |  |         | ...                                | sums | frame ... |
 *
 * Always there, and costs nothing before it is started: by the option, by a
 * call, or from outside, by who writes `wanted` and closes the gate (tcache.h).
 * While it is on, the gate makes every malloc take the slow path, which counts
 * its bytes and, as a rule, is served by the thread's cache after all. free
 * stays as it is. A block that was picked lies where it would lie anyway, so
 * that what it pins can be told; its page of 16 KiB is WATCHED (run.h,
 * heap.h), so frees of what begins there take the slow path, which looks it up
 * here. Blocks that no heap has are always freed on that path.
 *
 * A realloc is a free and a malloc of the new size. Blocks of arenas of the
 * program's own are not picked. When it is stopped, no more are picked; frees
 * of those that were are noted still.
 *
 * A tracer that looks at the probes of otel_memory (probes.h) is told of each
 * sample, and of its free. While it looks there is a profile, if need be one of
 * the usual mean; it begins with the next slow call.
 *
 * Both tables are address space that gets memory as they grow. A sample is in
 * the bucket of its page, so the last one of a page is told. A stack stays for
 * ever, with the sums of all samples that it had. Where there is no room or
 * memory any more, samples are counted as lost.
 *
 * Threads. All of it is guarded by a lock of the highest rank; an arena's lock
 * is held as well while a block in it becomes a sample, or is none any more:
 * so what is a sample and whether its page is watched change together. Who
 * frees a block that is none looks without the lock: `changes` is odd while
 * anything changes, and he believes what he saw only if it was the same even
 * number before and after. A sample that he must see was written before he was
 * given the block.
 *
 * Deadlocks. The stack is walked, and everything is asked of the kernel, before
 * any lock is taken, and stack.h takes none. Nothing is allocated by malloc. So
 * malloc may be called, and picked, wherever it may be called at all: under the
 * loader's locks, by the unwinder, while the program forks. In a signal handler
 * it may not be called, as before; but the handler may interrupt this, and
 * long-jump away: then the lock is held for ever, as an arena's would be.
 *
 * fork. The child goes on with what the parent had, under its own name. Where
 * another thread of the parent was just changing the tables, it forgets all,
 * and has no profile until it is started again; pages stay watched then, which
 * costs time, and nothing else.
 */
#ifndef PTM_PROFILE_H
#define PTM_PROFILE_H

#include "base.h"
#include "describe.h"
#include "probes.h"
#include "sampler.h"
#include "stack.h"

/* Bytes between two hits, on average; 0: none. Atomic. */
extern struct profile_switch {
    size_t wanted; /* written from outside too */
    size_t mean;   /* as it is now */
} profile_switch;

/* A tracer that looks at one of these wants a profile as well. */
extern PROBE_SEMAPHORE(otel_memory, alloc);
extern PROBE_SEMAPHORE(otel_memory, free);

struct profile_stack {
    uint32_t next; /* with the same hash; 0: none */
    uint32_t depth;
    double allocated_count; /* as estimated: of all that was picked */
    double allocated_bytes;
    double live_count;
    double live_bytes;
    double pinned_bytes; /* whoever makes a dump fills it in */
    uintptr_t frames[];
};

struct profile_sample {
    uintptr_t mem; /* 0: not in use; atomic */
    size_t size;
    double weight;  /* blocks that it stands for */
    uint32_t stack; /* place */
    uint32_t next;  /* in its bucket, or unused; 0: none; atomic */
};

/* Starts it, or changes the mean. False: no memory, and there is none. */
bool profile_start(size_t mean);
void profile_stop(void);

static inline bool profile_is_traced(void)
{
    return PROBE_IS_WANTED(otel_memory, alloc) ||
           PROBE_IS_WANTED(otel_memory, free);
}

/* Whether it is on, or is to be. */
static inline bool profile_is_on(void)
{
    size_t wanted = __atomic_load_n(&profile_switch.wanted, __ATOMIC_RELAXED);
    size_t mean = __atomic_load_n(&profile_switch.mean, __ATOMIC_RELAXED);
    return unlikely((wanted | mean) != 0) || profile_is_traced();
}

/* It is on, and sampler_passes has said no: is this call to be noted? A thread
 * that has drawn for another mean uses that up first. */
bool profile_picks_at_hit(size_t size);

/* Counts the bytes of a call: is it to be noted? */
static inline bool profile_picks(size_t size)
{
    return profile_is_on() && !sampler_passes(size) &&
           profile_picks_at_hit(size);
}

/* A block of this size was picked, and is about to be handed out. */
void profile_note_allocation(void *mem, size_t size, struct call call);

/* How many samples; stored with release order, so that who sees some sees the
 * tables. */
extern size_t profile_live;
void profile_note_free_slowly(const void *mem);

/* The program is about to free this, whatever it is. True if there are samples,
 * so that many pages are watched. */
static inline bool profile_note_free(const void *mem)
{
    bool any = __atomic_load_n(&profile_live, __ATOMIC_ACQUIRE) != 0;
    if (unlikely(any)) {
        profile_note_free_slowly(mem);
    }
    return any;
}

/* ---- looking at it --------------------------------------------------------
 */

/* One at a time: false while somebody else does. Who is lost in a fork
 * meanwhile is not waited for by the child. */
bool profile_begin_dump(void);
void profile_end_dump(void);

/* Calls for all stacks, one by one. Their sums change meanwhile; pinned_bytes
 * is the caller's. */
void profile_visit_stacks(void (*visit)(struct profile_stack *stack,
                                        void *data),
                          void *data);

/* Calls for all samples that are live, with the lock of the arena held that the
 * block is in, if any: so that it and its surroundings may be looked at. */
void profile_visit_samples(void (*visit)(const struct profile_sample *sample,
                                         struct profile_stack *stack,
                                         void *data),
                           void *data);

void profile_after_fork(void);

extern const struct description profile_description[];

#endif
