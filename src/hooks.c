#include "hooks.h"

#include "tcache.h"

const struct ptm_hooks *installed_hooks;

static PTM_TLS bool hook_is_running;

PTM_EXPORT void ptm_set_hooks(const struct ptm_hooks *hooks)
{
    __atomic_store_n(&installed_hooks, hooks, __ATOMIC_RELEASE);
    tcache_bypass(hooks != NULL);
}

PTM_COLD const struct ptm_hooks *hooks_unless_running(void)
{
    return hook_is_running
               ? NULL
               : __atomic_load_n(&installed_hooks, __ATOMIC_ACQUIRE);
}

void *hooks_malloc(const struct ptm_hooks *hooks, size_t size,
                   const void *caller)
{
    hook_is_running = true;
    void *mem = hooks->malloc_hook(size, caller);
    hook_is_running = false;
    return mem;
}

void *hooks_memalign(const struct ptm_hooks *hooks, size_t alignment,
                     size_t size, const void *caller)
{
    hook_is_running = true;
    void *mem = hooks->memalign_hook(alignment, size, caller);
    hook_is_running = false;
    return mem;
}

void *hooks_realloc(const struct ptm_hooks *hooks, void *mem, size_t size,
                    const void *caller)
{
    hook_is_running = true;
    void *moved = hooks->realloc_hook(mem, size, caller);
    hook_is_running = false;
    return moved;
}

void hooks_free(const struct ptm_hooks *hooks, void *mem, const void *caller)
{
    hook_is_running = true;
    hooks->free_hook(mem, caller);
    hook_is_running = false;
}
