/*
 * ptm.h - what ptm offers beyond <malloc.h>.
 *
 * A program needs nothing from this file to use ptm: preloading or linking
 * libptm replaces malloc, free and their whole family. This header is for
 * programs that want to ask the allocator to check itself, or to be told of
 * every call.
 *
 * All functions here are thread-safe and, like malloc, not safe in a signal
 * handler. Exported symbols carry no version, so that they stay in step with
 * the malloc symbols beside them.
 */
#ifndef PTM_H
#define PTM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Functions that are called in place of the allocator's own. `caller` is the
 * return address of the call that the program made. A member that is NULL
 * leaves its call to the allocator. While a hook runs, calls that its own
 * thread makes go straight to the allocator, so a hook may call malloc.
 *
 *   malloc_hook    malloc, and calloc (the result is then cleared)
 *   free_hook      free, cfree, free_sized, free_aligned_sized
 *   realloc_hook   realloc, reallocarray
 *   memalign_hook  memalign, aligned_alloc, posix_memalign, valloc, pvalloc
 *
 * Sizes are in bytes; an alignment is a power of two of at least 16. A hook
 * that fails returns NULL; errno is then set to ENOMEM for it.
 */
struct ptm_hooks {
    void *(*malloc_hook)(size_t size, const void *caller);
    void (*free_hook)(void *memory, const void *caller);
    void *(*realloc_hook)(void *memory, size_t size, const void *caller);
    void *(*memalign_hook)(size_t alignment, size_t size, const void *caller);
};

/*
 * Installs `hooks`, or with NULL takes the installed ones away. The struct is
 * copied to memory that nobody can write afterwards. Calls already on their way
 * in other threads may still reach the old hooks.
 */
void ptm_set_hooks(const struct ptm_hooks *hooks);

/*
 * Options that a program brings along: a list as in PTM_OPTIONS, for a program
 * that defines this symbol:
 *
 *     const char ptm_options[] = "arena_max=2,perturb=1";
 *
 * They are the weakest: /etc/ptm.conf and the environment override them. In a
 * program that is not linked with libptm but runs with it preloaded, the symbol
 * must be in the dynamic symbol table
 * (-Wl,--export-dynamic-symbol=ptm_options).
 */
extern const char ptm_options[];

/*
 * What the option of this name is set to, and setting it: the strongest of all
 * places, as mallopt. Most options take effect at once; what depends on the
 * number of CPUs or of arenas does for arenas to come. Both return 0; ENOENT
 * when there is no such option; EINVAL when it takes no such value; EPERM when
 * it is fixed at the start: blocks of hardened mode are others; ENOMEM when
 * there is no memory for a profile.
 */
int ptm_option_get(const char *key, size_t *value);
int ptm_option_set(const char *key, size_t value);

/*
 * A profile: who has the memory. Of the bytes that the program asks for one in
 * `mean`, on average, is looked at, 0: 512 KiB; the block that it is in is
 * noted with the stack of its callers until it is freed. Sums are estimates of
 * all blocks, of each size without bias.
 *
 * ptm_profile_start  starts it, or changes the mean. 0, or ENOMEM.
 * ptm_profile_stop   no more blocks are noted; what is known stays.
 * ptm_profile_dump   writes what is known to a file that pprof reads: what was
 *                    allocated, what of it is live, and what free memory those
 *                    pin. 0, or the number of an error as in errno: EBUSY while
 *                    another thread does the same.
 */
int ptm_profile_start(size_t mean);
void ptm_profile_stop(void);
int ptm_profile_dump(const char *path);

/*
 * An arena of the program's own: blocks that lie together, apart from all
 * others, and can be freed all at once.
 *
 * Its blocks are blocks of malloc: free, realloc and malloc_usable_size take
 * them, in any thread, and a block that realloc moves stays in the arena. They
 * pass through no thread's cache, so each call takes the arena's lock.
 *
 * ptm_arena_create   `limit` is the most bytes that the arena may have from the
 *                    kernel, in whole pages and with all that it needs itself;
 * 0 is none. NULL with ENOMEM, also when the program has 128 of them already.
 * ptm_arena_malloc   NULL with ENOMEM when the limit is reached, and for blocks
 *                    of 63 MiB and more.
 * ptm_arena_memalign the same at a multiple of `alignment`, a power of two
 * (else EINVAL). ptm_arena_bytes    what it has from the kernel now.
 * ptm_arena_destroy  frees all blocks; its time does not depend on their
 * number. To use one of them afterwards is an error like the use of a freed
 * block; to use the arena, or to destroy it again, ends the program. NULL is
 * ignored.
 */
struct ptm_arena;
struct ptm_arena *ptm_arena_create(size_t limit);
void *ptm_arena_malloc(struct ptm_arena *arena, size_t size);
void *ptm_arena_memalign(struct ptm_arena *arena, size_t alignment,
                         size_t size);
size_t ptm_arena_bytes(struct ptm_arena *arena);
void ptm_arena_destroy(struct ptm_arena *arena);

/*
 * How many bytes the block at `memory` holds: what malloc_usable_size tells,
 * but 0 for what is no block of malloc, or was freed. `memory` may be anything.
 */
size_t ptm_malloc_size(const void *memory);

/*
 * Calls `visit` for every block that the program has, with its usable size,
 * until it returns something else than 0, and returns that, else 0. Locks are
 * held meanwhile: `visit` must not allocate, free, ask for the size of a block,
 * or wait for a thread that does. Blocks of other threads may come and go while
 * one arena after the other is visited.
 */
int ptm_visit(int (*visit)(void *memory, size_t size, void *data), void *data);

/*
 * Writes the figures of the heap as JSON, one object in one line: for all, for
 * what has a mapping of its own ("large"), and for each arena. "allocated" is
 * what is in use, what threads keep in their caches included; "mapped" what
 * came from the kernel for it and for what is free; "retained" is address space
 * without memory. In bytes, where it is not a count. Of `room` bytes at `text`
 * one is for the zero at the end; returns how many characters there are in all:
 * as many or more than `room`, and the text is cut off. Allocates nothing.
 */
size_t ptm_stats_json(char *text, size_t room);

/*
 * Walks every arena, heap, chunk, bin and direct mapping and checks every
 * invariant that ties them together; each arena is locked while it is walked.
 * Returns 0 when all hold. Otherwise writes one line to stderr that names the
 * first broken invariant and where it is broken, and returns -1. Allocates
 * nothing, leaves errno alone; its time is proportional to the number of
 * chunks.
 */
int ptm_check(void);

#ifdef __cplusplus
}
#endif

#endif
