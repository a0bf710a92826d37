/*
 * hooks.h - functions of the program that are called in place of ours.
 *
 * See ptm_set_hooks in <ptm.h>. While some are installed the thread caches are
 * bypassed, and the slow paths look here: until then hooks cost nothing. A hook
 * that is running on this thread is not called again: what it calls is served
 * by the allocator.
 *
 * A function pointer that can be written is what an attacker looks for. So the
 * hooks are copied to a page of their own, together with the pointer to the
 * newest copy, and that page may only be read, but while it is changed.
 *
 * Threads: the pointer to the installed set is stored with release and read
 * with acquire order, so a hook is never seen before what its installer wrote
 * into the set. A copy is not overwritten until many others have been made: who
 * has just read the pointer may still use it. Installing takes a lock of its
 * own.
 */
#ifndef PTM_HOOKS_H
#define PTM_HOOKS_H

#include "base.h"
#include "ptm.h"

#define HOOKS_COPIES                                                           \
    ((HOOKS_PAGE - 2 * sizeof(void *)) / sizeof(struct ptm_hooks))

extern union hooks_page {
    struct {
        const struct ptm_hooks *installed; /* NULL: none */
        size_t next;                       /* copy to use */
        struct ptm_hooks copies[HOOKS_COPIES];
    };
    char page[HOOKS_PAGE];
} hooks_page;

const struct ptm_hooks *hooks_unless_running(void);

/* The hooks to call, or NULL: none are installed, or one is running. */
static inline const struct ptm_hooks *hooks_get(void)
{
    const struct ptm_hooks *hooks =
        __atomic_load_n(&hooks_page.installed, __ATOMIC_ACQUIRE);
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
