#include "user_arena.h"

#include <errno.h>

#include "alloc.h"
#include "arenas.h"
#include "fatal.h"

/* The arena's address, a page's, with the lives it has had in its low bits. */
enum {
    HANDLE_LIVES = 1 << 12,
};

static uint32_t lives_of(const struct arena *arena)
{
    return __atomic_load_n(&arena->lives, __ATOMIC_RELAXED);
}

static struct ptm_arena *as_public(struct arena *arena)
{
    return arena != NULL ? (struct ptm_arena *)((uintptr_t)arena +
                                                lives_of(arena) % HANDLE_LIVES)
                         : NULL;
}

static struct arena *arena_behind(const struct ptm_arena *handle)
{
    return (struct arena *)((uintptr_t)handle & ~(uintptr_t)(HANDLE_LIVES - 1));
}

_Noreturn PTM_COLD static void die_of_handle(const struct ptm_arena *handle,
                                             const char *where)
{
    fatal_crime(&(struct crime){.where = where,
                                .what = "arena was destroyed before",
                                .address = handle,
                                .arena = arena_behind(handle)->number});
}

static bool is_of_life(const struct ptm_arena *handle, uint32_t lives)
{
    return (uintptr_t)handle % HANDLE_LIVES == lives % HANDLE_LIVES;
}

static struct arena *as_arena(const struct ptm_arena *handle, const char *where)
{
    struct arena *arena = arena_behind(handle);
    if (unlikely(!is_of_life(handle, lives_of(arena)))) {
        die_of_handle(handle, where);
    }
    return arena;
}

/* Of those who destroy it one ends its life. */
static struct arena *end_life(const struct ptm_arena *handle, const char *where)
{
    struct arena *arena = arena_behind(handle);
    uint32_t lives = lives_of(arena);
    if (!is_of_life(handle, lives) ||
        !__atomic_compare_exchange_n(&arena->lives, &lives, lives + 1, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        die_of_handle(handle, where);
    }
    return arena;
}

static void *or_no_memory(void *result)
{
    if (unlikely(result == NULL)) {
        errno = ENOMEM;
    }
    return result;
}

PTM_EXPORT struct ptm_arena *ptm_arena_create(size_t limit)
{
    return or_no_memory(as_public(arenas_make_private(limit)));
}

PTM_EXPORT void *ptm_arena_malloc(struct ptm_arena *arena, size_t size)
{
    return or_no_memory(alloc_in_arena(as_arena(arena, "ptm_arena_malloc()"),
                                       MALLOC_ALIGNMENT, size));
}

PTM_EXPORT void *ptm_arena_memalign(struct ptm_arena *arena, size_t alignment,
                                    size_t size)
{
    if (unlikely(!is_power_of_two(alignment))) {
        errno = EINVAL;
        return NULL;
    }
    return or_no_memory(alloc_in_arena(as_arena(arena, "ptm_arena_memalign()"),
                                       max_size(alignment, MALLOC_ALIGNMENT),
                                       size));
}

PTM_EXPORT size_t ptm_arena_bytes(struct ptm_arena *arena)
{
    struct arena *own = as_arena(arena, "ptm_arena_bytes()");
    size_t bytes = 0;
    if (arena_acquire(own)) {
        bytes = own->system_bytes;
        arena_release(own);
    }
    return bytes;
}

/* One that was lost in a fork stays lost. */
PTM_EXPORT void ptm_arena_destroy(struct ptm_arena *arena)
{
    struct arena *own =
        arena != NULL ? end_life(arena, "ptm_arena_destroy()") : NULL;
    if (own == NULL || !arena_acquire(own)) {
        return;
    }
    arena_empty(own);
    arena_release(own);
    arenas_retire_private(own);
}
