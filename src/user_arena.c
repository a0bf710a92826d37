#include "user_arena.h"

#include <errno.h>

#include "alloc.h"
#include "arenas.h"
#include "fatal.h"

static struct ptm_arena *as_public(struct arena *arena)
{
    return (struct ptm_arena *)arena;
}

static struct arena *as_arena(const struct ptm_arena *arena)
{
    return (struct arena *)(uintptr_t)arena;
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
    return or_no_memory(
        alloc_in_arena(as_arena(arena), MALLOC_ALIGNMENT, size));
}

PTM_EXPORT void *ptm_arena_memalign(struct ptm_arena *arena, size_t alignment,
                                    size_t size)
{
    if (unlikely(!is_power_of_two(alignment))) {
        errno = EINVAL;
        return NULL;
    }
    return or_no_memory(alloc_in_arena(
        as_arena(arena), max_size(alignment, MALLOC_ALIGNMENT), size));
}

PTM_EXPORT size_t ptm_arena_bytes(struct ptm_arena *arena)
{
    struct arena *own = as_arena(arena);
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
    struct arena *own = as_arena(arena);
    if (own == NULL || !arena_acquire(own)) {
        return;
    }
    arena_empty(own);
    arena_release(own);
    arenas_retire_private(own);
}
