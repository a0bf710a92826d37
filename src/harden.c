#include "harden.h"

#include <string.h>

#include "arenas.h"
#include "fatal.h"
#include "os.h"
#include "owner.h"

struct quarantine {
    size_t bytes;
    size_t first; /* the oldest, counted without end */
    size_t count;
    uint32_t draws;
    void *mems[QUARANTINE_BLOCKS];
};

/* By the number of the arena, whose lock guards it. */
PTM_SPARSE static struct quarantine *quarantines[ARENAS_MAX + 1];

/* Where blocks without a canary may lie, by the number of the arena: written
 * before the mode is on. */
PTM_SPARSE static struct early {
    uintptr_t from, to;
} early[ARENAS_MAX + 1];

void harden_start(void)
{
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena *arena = arena_numbered(number);
        if (arena_acquire(arena)) {
            if (arena->top != NULL) {
                early[number].from = (uintptr_t)heap_for_ptr(arena->top);
                early[number].to = (uintptr_t)arena->top;
            }
            arena_release(arena);
        }
    }
}

static bool may_have_no_canary(const struct chunk *chunk)
{
    const struct early *range = &early[owner_of(chunk)];
    uintptr_t address = (uintptr_t)chunk;
    return address >= range->from && address < range->to;
}

/* ---- canaries ----------------------------------------------------------- */

/* The byte that fills the slack is odd, so that no string's end can pass for
 * it; what hides the slack's length has a bit that no length has. */
struct canary {
    unsigned char fill;
    unsigned char hide;
};

static struct canary canary_of(const struct chunk *chunk)
{
    uint32_t secret = seal_of(chunk, HARDEN_TWEAK);
    return (struct canary){.fill = (unsigned char)(secret | 1),
                           .hide = (unsigned char)(secret >> 8 | 0x80)};
}

void harden_mark(struct chunk *chunk, size_t bytes)
{
    struct canary canary = canary_of(chunk);
    size_t usable = usable_size_of(chunk_size(chunk));
    size_t slack = usable - bytes;
    unsigned char *end = (unsigned char *)chunk2mem(chunk) + usable;
    /* Not even a chunk that was cut badly has more to spare. */
    ptm_assert(slack >= 1 && slack < 0x80);
    memset(end - slack, canary.fill, slack);
    end[-1] = (unsigned char)slack ^ canary.hide;
}

/* The slack, or 0 when it is not what was drawn. */
static size_t slack_of(const struct chunk *chunk)
{
    struct canary canary = canary_of(chunk);
    size_t usable = usable_size_of(chunk_size(chunk));
    const unsigned char *end = (unsigned char *)chunk2mem(chunk) + usable;
    size_t slack = end[-1] ^ canary.hide;
    if (slack >= 0x80 || slack > usable) {
        return 0;
    }
    for (size_t i = 2; i <= slack; i++) {
        if (*(end - i) != canary.fill) {
            return 0;
        }
    }
    return slack;
}

_Noreturn PTM_COLD static void die_hardened(const struct arena *arena,
                                            const struct chunk *chunk,
                                            const char *where, const char *what)
{
    fatal_crime(&(struct crime){
        .where = where,
        .what = what,
        .address = chunk2mem(chunk),
        .size = usable_size_of(chunk_size(chunk)),
        .arena = arena->number,
    });
}

size_t harden_size(const struct arena *arena, const struct chunk *chunk,
                   const char *where)
{
    size_t usable = usable_size_of(chunk_size(chunk));
    size_t slack = slack_of(chunk);
    if (unlikely(slack == 0 && !may_have_no_canary(chunk))) {
        die_hardened(arena, chunk, where, "bytes after the block overwritten");
    }
    return usable - slack;
}

/* ---- quarantine ---------------------------------------------------------- */

static void **place_in(struct quarantine *quarantine, size_t number)
{
    return &quarantine->mems[number % QUARANTINE_BLOCKS];
}

static bool holds_zero(const void *mem, size_t bytes)
{
    const unsigned char *at = mem;
    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

/* One of the oldest, at random: who frees and allocates in turn cannot tell
 * where his next block will be. */
static void let_one_go(struct arena *arena, struct quarantine *quarantine)
{
    size_t choice = min_size(quarantine->count, QUARANTINE_CHOICE);
    size_t pick = seal_of(quarantine, quarantine->draws++ << 4) % choice;
    void **oldest = place_in(quarantine, quarantine->first);
    void **chosen = place_in(quarantine, quarantine->first + pick);
    struct chunk *chunk = mem2chunk(*chosen);
    *chosen = *oldest;
    quarantine->first++;
    quarantine->count--;
    arena_verify_cached(arena, chunk);
    size_t usable = usable_size_of(chunk_size(chunk));
    quarantine->bytes -= usable;
    if (unlikely(!holds_zero(chunk2mem(chunk), usable))) {
        die_hardened(arena, chunk, "heap", "freed block written to");
    }
    arena_free_cached(arena, chunk2mem(chunk));
}

static struct quarantine *quarantine_of(const struct arena *arena)
{
    struct quarantine **place = &quarantines[arena->number];
    if (*place == NULL) {
        *place =
            os_map_fenced(round_up(sizeof(struct quarantine), os_page_size()));
    }
    return *place;
}

void harden_free(struct arena *arena, struct chunk *chunk)
{
    size_t usable = usable_size_of(chunk_size(chunk));
    struct quarantine *quarantine = quarantine_of(arena);
    memset(chunk2mem(chunk), 0, usable);
    if (quarantine == NULL || usable > QUARANTINE_BYTES / 4) {
        _int_free(arena, chunk);
        return;
    }
    chunk_flip_cached(chunk);
    *place_in(quarantine, quarantine->first + quarantine->count) =
        chunk2mem(chunk);
    quarantine->count++;
    quarantine->bytes += usable;
    while (quarantine->count == QUARANTINE_BLOCKS ||
           quarantine->bytes > QUARANTINE_BYTES) {
        let_one_go(arena, quarantine);
    }
}

void harden_release(struct arena *arena)
{
    if (!harden_is_on() || !arena_acquire(arena)) {
        return;
    }
    struct quarantine *quarantine = quarantines[arena->number];
    while (quarantine != NULL && quarantine->count > 0) {
        let_one_go(arena, quarantine);
    }
    arena_release(arena);
}

const struct description harden_description[] = {
    DESCRIBE_ADDRESS("quarantines", quarantines), /* by number of the arena */
    DESCRIBE_NUMBER("quarantine.size", sizeof(struct quarantine)),
    DESCRIBE_PART("quarantine.first", struct quarantine, first),
    DESCRIBE_PART("quarantine.count", struct quarantine, count),
    DESCRIBE_PART("quarantine.blocks", struct quarantine, mems),
    DESCRIBE_NUMBER("QUARANTINE", QUARANTINE_BLOCKS), /* places in the ring */
    {.name = ""},
};
