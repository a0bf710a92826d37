#include "quarantine.h"

#include "arenas.h"
#include "os.h"

static size_t mapped_size(void)
{
    return round_up(sizeof(struct quarantine), os_page_size());
}

struct quarantine *quarantine_make(const struct arena *arena)
{
    struct quarantine *quarantine = os_map_fenced(mapped_size());
    if (quarantine != NULL) {
        quarantine->owner = arena->number;
        quarantine->most = QUARANTINE_BYTES;
    }
    return quarantine;
}

void quarantine_unmake(struct quarantine *quarantine)
{
    os_unmap_fenced(quarantine, mapped_size());
}

void quarantine_die(const struct quarantine *quarantine,
                    const struct chunk *chunk)
{
    const struct arena *arena = arena_numbered(quarantine->owner);
    chunk_verify_cached(arena, chunk);
    die_of_chunk(arena, chunk, "heap", "freed block written to");
}

unsigned quarantine_refill(struct arena *arena, struct quarantine *quarantine,
                           size_t size)
{
    unsigned size_class = class_serving(size);
    void **mems = quarantine->stock[size_class];
    size_t wanted = max_size(STOCK_BYTES / size, STOCK_LEAST);
    ptm_assert(quarantine->stocked[size_class] == 0);
    size_t got =
        arena_take(arena, size_class, mems, min_size(wanted, STOCK_SLOTS));
    for (size_t i = 0; i < got; i++) {
        memset(mems[i], 0, usable_size_of(chunk_size(mem2chunk(mems[i]))));
    }
    quarantine->stocked[size_class] = (uint8_t)got;
    return (unsigned)got;
}

void quarantine_free(struct arena *arena, struct quarantine *quarantine,
                     struct chunk *chunk)
{
    quarantine_verify(quarantine, chunk);
    arena_free_cached(arena, chunk2mem(chunk));
}

void quarantine_empty(struct arena *arena, struct quarantine *quarantine)
{
    while (quarantine->count > 0) {
        quarantine_free(arena, quarantine, quarantine_let_one_go(quarantine));
    }
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        while (quarantine->stocked[i] > 0) {
            void *mem = quarantine->stock[i][--quarantine->stocked[i]];
            quarantine_free(arena, quarantine, mem2chunk(mem));
        }
    }
}
