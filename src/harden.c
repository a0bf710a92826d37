#include "harden.h"

#include <string.h>

#include "arenas.h"
#include "draw.h"
#include "fatal.h"
#include "os.h"
#include "owner.h"

struct quarantine {
    size_t bytes;
    size_t first; /* the oldest, counted without end */
    size_t count;
    void *mems[QUARANTINE_BLOCKS];
    /* The stock: by class, which is the size in units of 16. */
    uint8_t stocked[SMALL_CLASSES];
    void *stock[SMALL_CLASSES][STOCK_SLOTS];
};

/* By the number of the arena, whose lock guards it. */
PTM_SPARSE static struct quarantine *quarantines[ARENAS_MAX + 1];

bool kinds_are_told;

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
    kinds_are_told = option_get(OPTION_KINDS) != 0;
}

static bool may_have_no_canary(const struct chunk *chunk)
{
    const struct early *range = &early[owner_of(chunk)];
    uintptr_t address = (uintptr_t)chunk;
    return address >= range->from && address < range->to;
}

/* ---- canaries -----------------------------------------------------------
 *
 * The bytes behind the program's are the upper ones of the block's last words:
 *
 *     | data   fill fill | fill fill fill fill fill fill fill tail |
 *
 * so that they are written and compared a word at a time. A block has three
 * words at least, and its size is a multiple of one.
 */

typedef uint64_t __attribute__((may_alias)) canary_word;

/* A byte of the fill is odd, so that no string's end can pass for it; and what
 * hides the tail has a bit that is in no tail. */
struct canary {
    uint64_t fill; /* eight times the same byte */
    unsigned char hide;
};

/* What the last byte says: kind * SLACK_END + slack. */
struct tail {
    size_t slack; /* 0: it is not what was drawn */
    enum block_kind kind;
};

_Static_assert(KIND_COUNT *SLACK_END < 0x80, "tails have seven bits");

static struct canary canary_of(const struct chunk *chunk)
{
    uint32_t secret = seal_of(chunk, HARDEN_TWEAK);
    return (struct canary){.fill = (unsigned char)(secret | 1) *
                                   0x0101010101010101u,
                           .hide = (unsigned char)(secret >> 8 | 0x80)};
}

/* Behind the last word. */
static canary_word *end_of_chunk(const struct chunk *chunk)
{
    return (canary_word *)((uintptr_t)chunk2mem(chunk) +
                           usable_size_of(chunk_size(chunk)));
}

static uint64_t last_word(struct canary canary, struct tail tail)
{
    uint64_t code = (unsigned)tail.kind * SLACK_END + tail.slack;
    return canary.fill << 8 >> 8 | (code ^ canary.hide) << 56;
}

/* The upper bytes of a word, as many as there are of `slack`. */
static uint64_t upper_bytes(size_t slack)
{
    return slack >= 8 ? ~(uint64_t)0 : ~(~(uint64_t)0 >> 8 * slack);
}

/* Writes `value` over these bytes of the word. */
static void write_upper(canary_word *word, uint64_t value, size_t slack)
{
    uint64_t mask = upper_bytes(slack);
    *word = (*word & ~mask) | (value & mask);
}

static bool has_upper(const canary_word *word, uint64_t value, size_t slack)
{
    return ((*word ^ value) & upper_bytes(slack)) == 0;
}

static void write_canary(struct chunk *chunk, struct tail tail)
{
    struct canary canary = canary_of(chunk);
    canary_word *word = end_of_chunk(chunk) - 1;
    size_t slack = tail.slack;
    write_upper(word, last_word(canary, tail), slack);
    while (unlikely(slack > sizeof *word)) {
        slack -= sizeof *word;
        write_upper(--word, canary.fill, slack);
    }
}

void harden_mark(struct chunk *chunk, size_t bytes)
{
    size_t slack = usable_size_of(chunk_size(chunk)) - bytes;
    /* Not even a chunk that was cut badly has more to spare. */
    ptm_assert(slack >= 1 && slack < SLACK_END);
    write_canary(chunk, (struct tail){slack, KIND_MALLOC});
}

/* The last word of the block is given. */
static bool is_canary(const canary_word *word, struct canary canary,
                      struct tail tail)
{
    size_t slack = tail.slack;
    bool is_whole = has_upper(word, last_word(canary, tail), slack);
    while (unlikely(slack > sizeof *word) && is_whole) {
        slack -= sizeof *word;
        is_whole = has_upper(--word, canary.fill, slack);
    }
    return is_whole;
}

static struct tail tail_of(const struct chunk *chunk)
{
    struct canary canary = canary_of(chunk);
    size_t usable = usable_size_of(chunk_size(chunk));
    const canary_word *word =
        (canary_word *)((uintptr_t)chunk2mem(chunk) + usable) - 1;
    unsigned code = (unsigned)(*word >> 56) ^ canary.hide;
    struct tail tail = {code % SLACK_END, (enum block_kind)(code / SLACK_END)};
    if (unlikely(tail.kind >= KIND_COUNT || tail.slack == 0 ||
                 tail.slack > usable || !is_canary(word, canary, tail))) {
        tail.slack = 0;
    }
    return tail;
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

/* A block without a canary has no slack. */
static struct tail verified_tail(const struct arena *arena,
                                 const struct chunk *chunk, const char *where)
{
    struct tail tail = tail_of(chunk);
    if (unlikely(tail.slack == 0 && !may_have_no_canary(chunk))) {
        die_hardened(arena, chunk, where, "bytes after the block overwritten");
    }
    return tail;
}

size_t harden_size(const struct arena *arena, const struct chunk *chunk,
                   const char *where)
{
    return usable_size_of(chunk_size(chunk)) -
           verified_tail(arena, chunk, where).slack;
}

/* ---- kinds ----------------------------------------------------------------
 */

void harden_die_of_kind(const void *mem, size_t size, enum block_kind kind,
                        const char *where)
{
    static const char names[KIND_COUNT][32] = {
        [KIND_MALLOC] = "block of malloc",
        [KIND_NEW] = "block of operator new",
        [KIND_NEW_ARRAY] = "block of operator new[]",
    };
    fatal_crime(&(struct crime){
        .where = where,
        .what = names[kind],
        .address = mem,
        .size = size,
        .arena = owner_of(mem),
    });
}

size_t harden_size_of_mallocs(const struct arena *arena,
                              const struct chunk *chunk, const char *where)
{
    struct tail tail = verified_tail(arena, chunk, where);
    size_t size = usable_size_of(chunk_size(chunk)) - tail.slack;
    if (unlikely(tail.kind != KIND_MALLOC && tail.slack != 0)) {
        harden_die_of_kind(chunk2mem(chunk), size, tail.kind, where);
    }
    return size;
}

void harden_change_kind(const struct arena *arena, struct chunk *chunk,
                        enum block_kind from, enum block_kind to,
                        const char *where)
{
    struct tail tail = verified_tail(arena, chunk, where);
    if (tail.slack == 0) {
        return;
    }
    if (unlikely(from != KIND_ANY && tail.kind != from)) {
        harden_die_of_kind(chunk2mem(chunk),
                           usable_size_of(chunk_size(chunk)) - tail.slack,
                           tail.kind, where);
    }
    tail.kind = to;
    write_canary(chunk, tail);
}

/* ---- the stock ------------------------------------------------------------
 */

static struct quarantine *quarantine_of(const struct arena *arena)
{
    struct quarantine **place = &quarantines[arena->number];
    if (*place == NULL) {
        *place =
            os_map_fenced(round_up(sizeof(struct quarantine), os_page_size()));
    }
    return *place;
}

/* A block of the stock is believed as little as any other. */
static void *hand_out(struct arena *arena, void *mem)
{
    struct chunk *chunk = mem2chunk(mem);
    chunk_verify_cached(arena, chunk);
    chunk_flip_cached(chunk);
    return mem;
}

static void *take_any(struct arena *arena, struct quarantine *quarantine,
                      size_t size_class)
{
    void **mems = quarantine->stock[size_class];
    unsigned pick = draw_below(quarantine->stocked[size_class]);
    void *mem = mems[pick];
    mems[pick] = mems[--quarantine->stocked[size_class]];
    return hand_out(arena, mem);
}

void *harden_take(struct arena *arena, size_t size)
{
    struct quarantine *quarantine = quarantine_of(arena);
    unsigned size_class = class_serving(size);
    void *mem = NULL;
    ptm_assert(harden_has_stock(size));
    arena->zero_from = NULL;
    if (unlikely(quarantine == NULL)) {
        return arena_take(arena, size_class, &mem, 1) > 0 ? hand_out(arena, mem)
                                                          : NULL;
    }
    if (quarantine->stocked[size_class] == 0) {
        size_t wanted = max_size(STOCK_BYTES / size, STOCK_LEAST);
        quarantine->stocked[size_class] = (uint8_t)arena_take(
            arena, size_class, quarantine->stock[size_class],
            min_size(wanted, STOCK_SLOTS));
        arena->zero_from = NULL;
    }
    return quarantine->stocked[size_class] > 0
               ? take_any(arena, quarantine, size_class)
               : NULL;
}

/* Where there is no room in the stock, a block goes back to the heap. */
static bool stock_up(struct arena *arena, struct quarantine *quarantine,
                     struct chunk *chunk)
{
    size_t size = chunk_size(chunk);
    unsigned size_class =
        harden_has_stock(size) ? class_serving(size) : 0; /* never stocked */
    uint8_t *stocked = &quarantine->stocked[size_class];
    if (size_class == 0 || *stocked == STOCK_SLOTS) {
        arena_free_cached(arena, chunk2mem(chunk));
        return false;
    }
    quarantine->stock[size_class][(*stocked)++] = chunk2mem(chunk);
    return true;
}

static void release_stock(struct arena *arena, struct quarantine *quarantine)
{
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        while (quarantine->stocked[i] > 0) {
            arena_free_cached(arena,
                              quarantine->stock[i][--quarantine->stocked[i]]);
        }
    }
}

/* ---- quarantine ---------------------------------------------------------- */

static void **place_in(struct quarantine *quarantine, size_t number)
{
    return &quarantine->mems[number % QUARANTINE_BLOCKS];
}

/* Blocks are three whole words, or more. Of many, each is like the one
 * before. */
static bool holds_zero(const void *mem, size_t bytes)
{
    const uint64_t *at = mem;
    uint64_t any = at[0];
    if (bytes > HARDEN_FEW_BYTES) {
        return any == 0 && memcmp(at, at + 1, bytes - sizeof *at) == 0;
    }
    /* The number is odd: two at a time. */
    for (size_t i = 1; i < bytes / sizeof *at; i += 2) {
        any |= at[i] | at[i + 1];
    }
    return any == 0;
}

/* One of the oldest, at random: who frees and allocates in turn cannot tell
 * where his next block will be. */
static struct chunk *let_one_go(struct arena *arena,
                                struct quarantine *quarantine)
{
    size_t choice = min_size(quarantine->count, QUARANTINE_CHOICE);
    size_t pick = draw_below((uint32_t)choice);
    void **oldest = place_in(quarantine, quarantine->first);
    void **chosen = place_in(quarantine, quarantine->first + pick);
    struct chunk *chunk = mem2chunk(*chosen);
    *chosen = *oldest;
    quarantine->first++;
    quarantine->count--;
    chunk_verify_cached(arena, chunk);
    size_t usable = usable_size_of(chunk_size(chunk));
    quarantine->bytes -= usable;
    if (unlikely(!holds_zero(chunk2mem(chunk), usable))) {
        die_hardened(arena, chunk, "heap", "freed block written to");
    }
    return chunk;
}

bool harden_free(struct arena *arena, struct chunk *chunk)
{
    bool any = false;
    size_t usable = usable_size_of(chunk_size(chunk));
    struct quarantine *quarantine = quarantine_of(arena);
    memset(chunk2mem(chunk), 0, usable);
    if (quarantine == NULL || usable > QUARANTINE_BYTES / 4) {
        _int_free(arena, chunk);
        return true;
    }
    chunk_flip_cached(chunk);
    *place_in(quarantine, quarantine->first + quarantine->count) =
        chunk2mem(chunk);
    quarantine->count++;
    quarantine->bytes += usable;
    while (quarantine->count == QUARANTINE_BLOCKS ||
           quarantine->bytes > QUARANTINE_BYTES) {
        any |= !stock_up(arena, quarantine, let_one_go(arena, quarantine));
    }
    return any;
}

void harden_release(struct arena *arena)
{
    if (!harden_is_on() || !arena_acquire(arena)) {
        return;
    }
    struct quarantine *quarantine = quarantines[arena->number];
    while (quarantine != NULL && quarantine->count > 0) {
        arena_free_cached(arena, chunk2mem(let_one_go(arena, quarantine)));
    }
    if (quarantine != NULL) {
        release_stock(arena, quarantine);
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
