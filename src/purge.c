#include "purge.h"

#include "arena.h"
#include "arenas.h"

bool purge_everything(size_t pad)
{
    bool any = false;
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena *arena = arena_numbered(number);
        if (arena_acquire(arena)) {
            any |= arena_trim(arena, pad);
            arena_release(arena);
        }
    }
    return any;
}
