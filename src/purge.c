#include "purge.h"

#include "arena.h"
#include "arenas.h"
#include "mapped.h"
#include "tcache.h"

/* Frees what the arena keeps for caches and what has come home to it,
 * releasing the lock now and then. What others send meanwhile is not waited
 * for: there are no more blocks than were in the heaps at first. */
static void empty_depot(struct arena *arena)
{
    size_t rounds = 1;
    for (size_t round = 0; round < rounds && arena_acquire(arena); round++) {
        if (round == 0) {
            rounds += arena->system_bytes / MIN_CHUNK_SIZE / SLOW_STEP;
        }
        arena_sort_arrivals(arena, SLOW_STEP);
        bool more = arena_free_depot(arena, SLOW_STEP);
        more |= arena->arrivals != NULL || inbox_has_any(&arena->inbox);
        arena_release(arena);
        if (!more) {
            break;
        }
    }
}

bool purge_everything(size_t pad)
{
    bool any = mapped_trim();
    tcache_flush();
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena *arena = arena_numbered(number);
        empty_depot(arena);
        if (arena_acquire(arena)) {
            any |= arena_trim(arena, pad);
            arena_release(arena);
        }
    }
    return any;
}
