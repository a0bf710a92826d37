#include "hooks.h"

#include <pthread.h>

#include "lock.h"
#include "os.h"
#include "tcache.h"

PTM_SPARSE union hooks_page hooks_page __attribute__((aligned(HOOKS_PAGE)));

static struct lock hooks_lock = LOCK_INITIAL(LOCK_RANK_START);

static PTM_TLS bool hook_is_running;

/* In the one thread of a child: what another was changing is changed again. */
static void repair_hooks_lock(void)
{
    if (lock_is_orphaned(&hooks_lock)) {
        lock_reset(&hooks_lock);
    }
    lock_confirm(&hooks_lock);
}

/* Before the lock is taken for the first time. Where no handler of fork runs,
 * the first who would have to wait repairs. */
static void lock_hooks(void)
{
    static bool has_fork_handler;
    if (!__atomic_exchange_n(&has_fork_handler, true, __ATOMIC_RELAXED)) {
        pthread_atfork(NULL, NULL, repair_hooks_lock);
    }
    while (!lock_acquire(&hooks_lock)) {
        repair_hooks_lock();
    }
}

static const struct ptm_hooks *copy_of(const struct ptm_hooks *hooks)
{
    struct ptm_hooks *copy = &hooks_page.copies[hooks_page.next];
    hooks_page.next = (hooks_page.next + 1) % HOOKS_COPIES;
    *copy = *hooks;
    return copy;
}

/* The page is whole pages only where the kernel's are not larger; elsewhere,
 * and where the kernel refuses to close it, it stays open. When it cannot be
 * opened the hooks stay what they were. */
PTM_EXPORT void ptm_set_hooks(const struct ptm_hooks *hooks)
{
    bool can_close = HOOKS_PAGE % os_page_size() == 0;
    lock_hooks();
    if (!can_close || os_commit(&hooks_page, HOOKS_PAGE)) {
        __atomic_store_n(&hooks_page.installed,
                         hooks != NULL ? copy_of(hooks) : NULL,
                         __ATOMIC_RELEASE);
        tcache_bypass(hooks != NULL);
        if (can_close) {
            os_freeze(&hooks_page, HOOKS_PAGE);
        }
    }
    lock_release(&hooks_lock);
}

PTM_COLD const struct ptm_hooks *hooks_unless_running(void)
{
    return hook_is_running
               ? NULL
               : __atomic_load_n(&hooks_page.installed, __ATOMIC_ACQUIRE);
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
