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
 * read during later calls and must stay as it is until it is replaced. Calls
 * already on their way in other threads may still reach the old hooks.
 */
void ptm_set_hooks(const struct ptm_hooks *hooks);

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
