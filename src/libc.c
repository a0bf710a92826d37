/*
 * libc.c - malloc and its family, as programs call them.
 *
 * Only the rules about arguments and errno are here; alloc.h does the work.
 * An entry point is named as in the C library, __libc_malloc, and malloc is
 * its alias. The rules come from POSIX and C23 where they speak, else from
 * glibc, whose callers rely on more than the standards promise:
 *
 *   - every block is aligned to 16 bytes, malloc(0) gives a block of its own;
 *   - a size above PTRDIFF_MAX, or a product that overflows, is ENOMEM;
 *   - realloc(p, 0) frees p and returns NULL;
 *   - free leaves errno alone.
 *
 * Thread-safe, not async-signal-safe, never a cancellation point.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "alloc.h"
#include "base.h"
#include "guard.h"
#include "harden.h"
#include "hooks.h"
#include "os.h"
#include "profile.h"
#include "tcache.h"

/* Asked for on slow paths only, and not before: the fast ones have no register
 * to spare. */
#define CALLER()                                                               \
    ({                                                                         \
        const void *caller_ = __builtin_return_address(0);                     \
        __asm__ volatile("" : "+r"(caller_));                                  \
        caller_;                                                               \
    })

PTM_EXPORT void *__libc_malloc(size_t size);
PTM_EXPORT void __libc_free(void *mem);
PTM_EXPORT void *__libc_calloc(size_t count, size_t size);
PTM_EXPORT void *__libc_realloc(void *mem, size_t size);
PTM_EXPORT void *__libc_reallocarray(void *mem, size_t count, size_t size);
PTM_EXPORT void *__libc_memalign(size_t alignment, size_t size);
PTM_EXPORT void *aligned_alloc(size_t alignment, size_t size);
PTM_EXPORT int __posix_memalign(void **result, size_t alignment, size_t size);
PTM_EXPORT void *__libc_valloc(size_t size);
PTM_EXPORT void *__libc_pvalloc(size_t size);
PTM_EXPORT size_t malloc_usable_size(void *mem);
PTM_EXPORT void free_sized(void *mem, size_t size);
PTM_EXPORT void free_aligned_sized(void *mem, size_t alignment, size_t size);

static bool is_too_large(size_t size)
{
    return unlikely(size > PTRDIFF_MAX);
}

static PTM_NOINLINE void *fail_with_enomem(void)
{
    errno = ENOMEM;
    return NULL;
}

static void *or_enomem(void *mem)
{
    return likely(mem != NULL) ? mem : fail_with_enomem();
}

static PTM_NOINLINE void *malloc_uncounted(size_t size, const void *caller)
{
    const struct ptm_hooks *hooks = hooks_get();
    if (unlikely(hooks != NULL) && hooks->malloc_hook != NULL) {
        return or_enomem(hooks_malloc(hooks, size, caller));
    }
    if (unlikely(guard_is_due())) {
        void *mem = guard_allocate(size, CALL_FROM(caller));
        if (mem != NULL) {
            return mem;
        }
    }
    return or_enomem(is_too_large(size) ? NULL
                                        : alloc_malloc_beyond_cache(size));
}

/* Hooks see the call first; what they call comes here again. */
static PTM_NOINLINE void *malloc_at_hit(size_t size, const void *caller)
{
    struct call call = CALL_FROM(caller);
    bool is_picked = hooks_get() == NULL && profile_picks_at_hit(size);
    void *mem = is_picked ? NULL : tcache_malloc_behind_gate(size);
    if (mem == NULL) {
        mem = malloc_uncounted(size, caller);
    }
    if (is_picked && mem != NULL) {
        profile_note_allocation(mem, size, call);
    }
    return mem;
}

/* While there is a profile all calls come here, and most are only counted. In
 * hardened mode, too, all calls do. */
static PTM_NOINLINE void *malloc_slow(size_t size, const void *caller)
{
    void *stocked = harden_malloc(size);
    if (stocked != NULL) {
        return stocked;
    }
    if (sampler_passes(size)) {
        void *mem = tcache_malloc_behind_gate(size);
        return likely(mem != NULL) ? mem : malloc_uncounted(size, caller);
    }
    return profile_is_on() ? malloc_at_hit(size, caller)
                           : malloc_uncounted(size, caller);
}

void *__libc_malloc(size_t size)
{
    void *mem = tcache_malloc(size);
    return likely(mem != NULL) ? mem : malloc_slow(size, CALLER());
}

static PTM_NOINLINE void free_slow(void *mem, const void *caller)
{
    if (harden_free_quickly(mem) || tcache_free_common(mem)) {
        return;
    }
    const struct ptm_hooks *hooks = hooks_get();
    if (unlikely(hooks != NULL) && hooks->free_hook != NULL) {
        int saved = errno;
        hooks_free(hooks, mem, caller);
        errno = saved;
        return;
    }
    if (unlikely(profile_note_free(mem)) && tcache_free_watched(mem)) {
        return;
    }
    if (unlikely(guard_contains(mem))) {
        guard_free(mem, CALL_FROM(caller));
    } else if (likely(mem != NULL)) {
        alloc_free_beyond_cache(mem);
    }
}

static PTM_NOINLINE void free_anything(void *mem, const void *caller)
{
    if (mem != NULL || hooks_get() != NULL) {
        free_slow(mem, caller);
    }
}

/* Apart, so that it costs a local free no register. */
static PTM_NOINLINE void free_remote(void *mem, struct tcache *cache,
                                     size_t number, const void *caller)
{
    unsigned tag = (unsigned)(number + cache->first_tag);
    if (unlikely(!tcache_free_remote(cache, tag, mem))) {
        free_anything(mem, caller);
    }
}

/* Not in the window of which pages have tags. */
static PTM_NOINLINE void free_far(void *mem, const void *caller)
{
    if (mem == NULL || !tcache_free(mem)) {
        free_anything(mem, caller);
    }
}

void __libc_free(void *mem)
{
    size_t place = tags_place(mem);
    if (unlikely(place >= TAGS)) {
        free_far(mem, CALLER());
        return;
    }
    struct tcache *cache = tcache_self();
    size_t number = tcache_number_of(cache, tag_at(place));
    if (likely(number < RUN_CLASSES)) {
        if (unlikely(!tcache_free_object(cache, number, mem))) {
            free_slow(mem, CALLER());
        }
    } else if (number == CHUNKS_NUMBER) {
        if (unlikely(!tcache_free_own_chunk(cache, mem))) {
            free_slow(mem, CALLER());
        }
    } else {
        free_remote(mem, cache, number, CALLER());
    }
}

static PTM_NOINLINE void *calloc_uncounted(size_t bytes, const void *caller)
{
    const struct ptm_hooks *hooks = hooks_get();
    if (unlikely(hooks != NULL) && hooks->malloc_hook != NULL) {
        void *mem = hooks_malloc(hooks, bytes, caller);
        return mem != NULL ? memset(mem, 0, bytes) : or_enomem(NULL);
    }
    if (unlikely(guard_is_due())) {
        void *mem = guard_allocate(bytes, CALL_FROM(caller));
        if (mem != NULL) {
            return mem;
        }
    }
    return or_enomem(is_too_large(bytes) ? NULL
                                         : alloc_calloc_beyond_cache(bytes));
}

static PTM_NOINLINE void *calloc_slow(size_t bytes, const void *caller)
{
    void *stocked = harden_malloc(bytes);
    if (stocked != NULL) {
        return stocked; /* zero */
    }
    struct call call = CALL_FROM(caller);
    bool is_picked = hooks_get() == NULL && profile_picks(bytes);
    void *mem = is_picked ? NULL : tcache_malloc_behind_gate(bytes);
    if (mem != NULL) {
        return memset(mem, 0, bytes);
    }
    mem = calloc_uncounted(bytes, caller);
    if (is_picked && mem != NULL) {
        profile_note_allocation(mem, bytes, call);
    }
    return mem;
}

void *__libc_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (unlikely(__builtin_mul_overflow(count, size, &bytes))) {
        return fail_with_enomem();
    }
    void *mem = tcache_malloc(bytes);
    return likely(mem != NULL) ? memset(mem, 0, bytes)
                               : calloc_slow(bytes, CALLER());
}

/* To a profile it frees the block, even where it then fails. */
static void *resize(void *mem, size_t size, struct call call)
{
    profile_note_free(mem);
    if (mem != NULL && size == 0) {
        alloc_free(mem);
        return NULL;
    }
    bool is_picked = profile_picks(size);
    void *moved = mem == NULL ? alloc_malloc(size) : alloc_realloc(mem, size);
    if (is_picked && moved != NULL) {
        profile_note_allocation(moved, size, call);
    }
    return or_enomem(moved);
}

static PTM_NOINLINE void *realloc_slow(void *mem, size_t size,
                                       const void *caller)
{
    const struct ptm_hooks *hooks = hooks_get();
    if (unlikely(hooks != NULL) && hooks->realloc_hook != NULL) {
        void *moved = hooks_realloc(hooks, mem, size, caller);
        return mem != NULL && size == 0 ? moved : or_enomem(moved);
    }
    if (is_too_large(size)) {
        return or_enomem(NULL);
    }
    return resize(mem, size, CALL_FROM(caller));
}

void *__libc_realloc(void *mem, size_t size)
{
    return likely(tcache_fits(mem, size)) ? mem
                                          : realloc_slow(mem, size, CALLER());
}

void *__libc_reallocarray(void *mem, size_t count, size_t size)
{
    size_t bytes;
    if (unlikely(__builtin_mul_overflow(count, size, &bytes))) {
        return or_enomem(NULL);
    }
    return likely(tcache_fits(mem, bytes)) ? mem
                                           : realloc_slow(mem, bytes, CALLER());
}

static void *allocate_aligned(size_t alignment, size_t size)
{
    return alignment == MALLOC_ALIGNMENT ? alloc_malloc(size)
                                         : alloc_memalign(alignment, size);
}

/* `alignment` is a power of two. errno is the caller's. */
static void *memalign_for(size_t alignment, size_t size, struct call call)
{
    alignment = max_size(alignment, MALLOC_ALIGNMENT);
    const struct ptm_hooks *hooks = hooks_get();
    if (unlikely(hooks != NULL) && hooks->memalign_hook != NULL) {
        return hooks_memalign(hooks, alignment, size, call.caller);
    }
    if (is_too_large(size) || is_too_large(alignment)) {
        return NULL;
    }
    bool is_picked = profile_picks(size);
    void *mem = allocate_aligned(alignment, size);
    if (is_picked && mem != NULL) {
        profile_note_allocation(mem, size, call);
    }
    return mem;
}

/* The smallest power of two that is not below `alignment`, which is at most
 * 2^63. */
static size_t next_power_of_two(size_t alignment)
{
    return alignment <= 1 ? 1 : (size_t)1 << (highest_bit(alignment - 1) + 1);
}

void *__libc_memalign(size_t alignment, size_t size)
{
    if (unlikely(alignment > (size_t)1 << 63)) {
        errno = EINVAL;
        return NULL;
    }
    return or_enomem(
        memalign_for(next_power_of_two(alignment), size, CALL_FROM(CALLER())));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (unlikely(!is_power_of_two(alignment))) {
        errno = EINVAL;
        return NULL;
    }
    return or_enomem(memalign_for(alignment, size, CALL_FROM(CALLER())));
}

int __posix_memalign(void **result, size_t alignment, size_t size)
{
    if (unlikely(!is_power_of_two(alignment) ||
                 alignment % sizeof(void *) != 0)) {
        return EINVAL;
    }
    void *mem = memalign_for(alignment, size, CALL_FROM(CALLER()));
    if (unlikely(mem == NULL)) {
        return ENOMEM;
    }
    *result = mem;
    return 0;
}

void *__libc_valloc(size_t size)
{
    return or_enomem(memalign_for(os_page_size(), size, CALL_FROM(CALLER())));
}

void *__libc_pvalloc(size_t size)
{
    size_t page = os_page_size();
    if (is_too_large(size)) {
        return or_enomem(NULL);
    }
    return or_enomem(
        memalign_for(page, round_up(size, page), CALL_FROM(CALLER())));
}

size_t malloc_usable_size(void *mem)
{
    return mem != NULL ? alloc_usable_size(mem) : 0;
}

/* While hooks are there the block may be theirs. */
static PTM_NOINLINE void verify_size(const void *mem, size_t size)
{
    if (mem != NULL && hooks_get() == NULL) {
        alloc_verify_size(mem, size);
    }
}

void free_sized(void *mem, size_t size)
{
    if (unlikely(!tcache_fits(mem, size))) {
        verify_size(mem, size);
    }
    __libc_free(mem);
}

void free_aligned_sized(void *mem, size_t alignment, size_t size)
{
    (void)alignment;
    free_sized(mem, size);
}

PTM_ALIAS(malloc, __libc_malloc);
PTM_ALIAS(free, __libc_free);
PTM_ALIAS(cfree, __libc_free);
PTM_ALIAS(__libc_cfree, __libc_free);
PTM_ALIAS(calloc, __libc_calloc);
PTM_ALIAS(realloc, __libc_realloc);
PTM_ALIAS(reallocarray, __libc_reallocarray);
PTM_ALIAS(memalign, __libc_memalign);
PTM_ALIAS(posix_memalign, __posix_memalign);
PTM_ALIAS(valloc, __libc_valloc);
PTM_ALIAS(pvalloc, __libc_pvalloc);
