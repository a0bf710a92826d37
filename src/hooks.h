/*
 * hooks.h - functions of the program that are called in place of ours.
 *
 * See ptm_set_hooks in <ptm.h>. While some are installed the thread caches are
 * bypassed, and the slow paths look here: until then hooks cost nothing. A hook
 * that is running on this thread is not called again: what it calls is served
 * by the allocator.
 *
 * Threads: the pointer to the installed set is stored with release and read
 * with acquire order, so a hook is never seen before what its installer wrote
 * into the set.
 */
#ifndef PTM_HOOKS_H
#define PTM_HOOKS_H

#include "base.h"
#include "ptm.h"

extern const struct ptm_hooks *installed_hooks;

const struct ptm_hooks *hooks_unless_running(void);

/* The hooks to call, or NULL: none are installed, or one is running. */
static inline const struct ptm_hooks *hooks_get(void)
{
    const struct ptm_hooks *hooks =
        __atomic_load_n(&installed_hooks, __ATOMIC_ACQUIRE);
    return likely(hooks == NULL) ? NULL : hooks_unless_running();
}

/* Each calls the hook of its kind; the member is not NULL. */
void *hooks_malloc(const struct ptm_hooks *hooks, size_t size,
                   const void *caller);
void *hooks_memalign(const struct ptm_hooks *hooks, size_t alignment,
                     size_t size, const void *caller);
void *hooks_realloc(const struct ptm_hooks *hooks, void *mem, size_t size,
                    const void *caller);
void hooks_free(const struct ptm_hooks *hooks, void *mem, const void *caller);

#endif
