#include "harden.h"

#include <string.h>

#include "arenas.h"
#include "fatal.h"
#include "guard.h"
#include "owner.h"
#include "quarantine.h"
#include "sweep.h"

enum {
    QUARANTINES = ARENAS_MAX + 1 + CACHES_LISTED,
};

/* By the number of the arena, whose lock guards it. Behind those, the threads',
 * for readers outside of the process: nobody here follows these pointers. A
 * thread takes a place that is empty, and empties it when it ends. */
PTM_SPARSE static struct quarantine *quarantines[QUARANTINES];

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

/* A block without a canary has no slack. */
static struct tail verified_tail(const struct arena *arena,
                                 const struct chunk *chunk, const char *where)
{
    struct tail tail = tail_of(chunk);
    if (unlikely(tail.slack == 0 && !may_have_no_canary(chunk))) {
        die_of_chunk(arena, chunk, where, "bytes after the block overwritten");
    }
    return tail;
}

size_t harden_size(const struct arena *arena, const struct chunk *chunk,
                   const char *where)
{
    return usable_size_of(chunk_size(chunk)) -
           verified_tail(arena, chunk, where).slack;
}

size_t harden_size_as_it_is(const struct chunk *chunk)
{
    return usable_size_of(chunk_size(chunk)) - tail_of(chunk).slack;
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

/* Whether this is a block of malloc's with a sound canary. False is no verdict:
 * there may be none. */
static bool has_usual_canary(const struct chunk *chunk, size_t usable)
{
    struct canary canary = canary_of(chunk);
    const canary_word *last =
        (const canary_word *)((uintptr_t)chunk2mem(chunk) + usable) - 1;
    uint64_t slack = *last >> 56 ^ canary.hide;
    if (slack - 1 >= 2 * sizeof *last) {
        return false;
    }
    /* The last byte of all is the tail. */
    uint64_t difference = ((*last ^ canary.fill) & upper_bytes(slack)) << 8;
    if (slack > sizeof *last) {
        difference |=
            (last[-1] ^ canary.fill) & upper_bytes(slack - sizeof *last);
    }
    return difference == 0;
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

/* ---- an arena's quarantine ----------------------------------------------
 */

static struct quarantine *quarantine_of(const struct arena *arena)
{
    struct quarantine **place = &quarantines[arena->number];
    if (*place == NULL) {
        *place = quarantine_make(arena);
    }
    return *place;
}

/* Without a quarantine there is no stock either. */
static void *take_unstocked(struct arena *arena, size_t size)
{
    void *mem;
    if (arena_take(arena, class_serving(size), &mem, 1) == 0) {
        return NULL;
    }
    chunk_flip_cached(mem2chunk(mem));
    return mem;
}

void *harden_take(struct arena *arena, size_t size)
{
    struct quarantine *quarantine = quarantine_of(arena);
    ptm_assert(quarantine_stocks(size));
    void *mem = NULL;
    if (unlikely(quarantine == NULL)) {
        mem = take_unstocked(arena, size);
    } else {
        mem = quarantine_take(quarantine, size);
        if (mem == NULL && quarantine_refill(arena, quarantine, size) > 0) {
            mem = quarantine_take(quarantine, size);
        }
    }
    arena->zero_from = NULL;
    return mem;
}

/* Of several that free a block at the same moment one gets it. */
static void claim_block(const struct arena *arena, struct chunk *chunk)
{
    while (unlikely(
        !chunk_claim(chunk, chunk_seal_in_use(chunk, chunk_low(chunk))))) {
        chunk_verify_word(arena, chunk, where_free);
    }
}

bool harden_free(struct arena *arena, struct chunk *chunk)
{
    bool any = false;
    struct quarantine *quarantine = quarantine_of(arena);
    claim_block(arena, chunk);
    size_t usable = usable_size_of(chunk_size(chunk));
    memset(chunk2mem(chunk), 0, usable);
    if (unlikely(quarantine == NULL) || !quarantine_takes(usable)) {
        arena_free_cached(arena, chunk2mem(chunk));
        return true;
    }
    quarantine_add(quarantine, chunk2mem(chunk), usable);
    while (quarantine_is_full(quarantine)) {
        struct chunk *oldest = quarantine_let_one_go(quarantine);
        if (!quarantine_stock_up(quarantine, oldest)) {
            quarantine_free(arena, quarantine, oldest);
            any = true;
        }
    }
    return any;
}

void harden_release(struct arena *arena)
{
    if (!harden_is_on() || !arena_acquire(arena)) {
        return;
    }
    struct quarantine *quarantine = quarantines[arena->number];
    if (quarantine != NULL) {
        quarantine_empty(arena, quarantine);
    }
    arena_release(arena);
}

/* ---- a thread's quarantine ----------------------------------------------- */

static PTM_TLS struct {
    struct quarantine *own; /* NULL: none yet, or none any more */
    bool is_settled;        /* no other comes */
} mine;

/* What those of all threads may hold, in bytes. A hint: relaxed. */
static ptrdiff_t all_hold;

static size_t share_of_all(void)
{
    ptrdiff_t all =
        __atomic_add_fetch(&all_hold, QUARANTINE_BYTES, __ATOMIC_RELAXED);
    return all <= QUARANTINES_BYTES ? QUARANTINE_BYTES : QUARANTINE_BYTES_MIN;
}

static void list(struct quarantine *quarantine)
{
    for (size_t i = ARENAS_MAX + 1; i < QUARANTINES; i++) {
        struct quarantine *none = NULL;
        if (__atomic_load_n(&quarantines[i], __ATOMIC_RELAXED) == NULL &&
            __atomic_compare_exchange_n(&quarantines[i], &none, quarantine,
                                        false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
            return;
        }
    }
}

static void unlist(const struct quarantine *quarantine)
{
    for (size_t i = ARENAS_MAX + 1; i < QUARANTINES; i++) {
        if (__atomic_load_n(&quarantines[i], __ATOMIC_RELAXED) == quarantine) {
            __atomic_store_n(&quarantines[i], NULL, __ATOMIC_RELAXED);
            return;
        }
    }
}

/* Only for a thread that has an arena: that one's end is noticed. */
PTM_COLD static struct quarantine *make_own(void)
{
    const struct arena *arena = arenas_attached();
    /* A handler that comes in between makes none besides. */
    if (arena == NULL ||
        __atomic_exchange_n(&mine.is_settled, true, __ATOMIC_RELAXED)) {
        return NULL;
    }
    struct quarantine *own = quarantine_make(arena);
    if (own != NULL) {
        own->most = share_of_all();
        list(own);
        mine.own = own;
    }
    return own;
}

/* A signal's handler that has interrupted a change leaves it alone, and so does
 * what it forks: the compiler must not move what is in between. */
static void begin_use(struct quarantine *own)
{
    own->is_busy = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void end_use(struct quarantine *own)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    own->is_busy = false;
}

/* What is in it goes home. With an arena that was lost in a fork its blocks
 * are. */
static void empty_own(struct quarantine *own)
{
    struct arena *arena = arena_numbered(own->owner);
    if (arena_acquire(arena)) {
        quarantine_empty(arena, own);
        sweep_excess(arena);
        arena_release(arena);
    } else {
        own->count = own->bytes = 0;
        memset(own->stocked, 0, sizeof own->stocked);
    }
}

/* The thread has come to another arena: its quarantine goes with it. */
static struct arena *follow_own(struct quarantine *own)
{
    struct arena *arena = arenas_attached();
    if (unlikely(arena != NULL && arena->number != own->owner)) {
        empty_own(own);
        own->owner = arena->number;
    }
    return arena_numbered(own->owner);
}

PTM_NOINLINE static void *refill_and_take(struct quarantine *own, size_t size)
{
    struct arena *arena = follow_own(own);
    if (!arena_acquire(arena)) {
        return NULL;
    }
    unsigned got = quarantine_refill(arena, own, size);
    arena_note_live(arena);
    arena_release(arena);
    guard_count(got);
    return quarantine_take(own, size);
}

/* Of a block that is zero, and has two words of slack at most as a rule. */
static void *marked(void *mem, size_t bytes)
{
    if (unlikely(mem == NULL)) {
        return NULL;
    }
    struct chunk *chunk = mem2chunk(mem);
    canary_word *last = end_of_chunk(chunk) - 1;
    size_t slack = (uintptr_t)(last + 1) - (uintptr_t)mem - bytes;
    if (unlikely(slack > sizeof *last)) {
        harden_mark(chunk, bytes);
    } else {
        struct tail tail = {slack, KIND_MALLOC};
        *last = last_word(canary_of(chunk), tail) & upper_bytes(slack);
    }
    return mem;
}

void *harden_find_stocked(size_t bytes)
{
    struct quarantine *own = mine.own;
    if (unlikely(own == NULL) || unlikely(own->is_busy)) {
        return NULL;
    }
    begin_use(own);
    void *mem = quarantine_take(own, request_to_chunk_size(bytes + 1));
    end_use(own);
    return marked(mem, bytes);
}

void *harden_find(size_t bytes)
{
    size_t size = request_to_chunk_size(bytes + 1);
    struct quarantine *own = mine.own != NULL ? mine.own : make_own();
    if (own == NULL || own->is_busy || !quarantine_stocks(size)) {
        return NULL;
    }
    begin_use(own);
    void *mem = quarantine_take(own, size);
    if (mem == NULL) {
        mem = refill_and_take(own, size);
    }
    end_use(own);
    return marked(mem, bytes);
}

/* This block has left the ring, and others do at the same time, so that the
 * lock is taken once for several. */
PTM_NOINLINE static void give_back(struct quarantine *own, struct chunk *chunk)
{
    struct arena *arena = arena_numbered(own->owner);
    if (!arena_acquire(arena)) {
        return;
    }
    size_t most = own->most - own->most / QUARANTINE_LEAVING_SHARE;
    quarantine_free(arena, own, chunk);
    for (int i = 1; i < QUARANTINE_LEAVING && own->bytes > most; i++) {
        struct chunk *next = quarantine_let_one_go(own);
        if (!quarantine_stock_up(own, next)) {
            quarantine_free(arena, own, next);
        }
    }
    sweep_excess(arena);
    arena_release(arena);
}

/* The ring has too many or too large ones. */
static void let_some_go(struct quarantine *own)
{
    while (quarantine_is_full(own)) {
        struct chunk *oldest = quarantine_let_one_go(own);
        if (unlikely(!quarantine_stock_up(own, oldest))) {
            give_back(own, oldest);
        }
    }
}

/* Whether the header behind a chunk, whose own is sound, is that of a chunk in
 * use, or CACHED, and knows that the one before is in use. False is no verdict:
 * it may be changing. */
static bool has_sound_neighbour(const struct heap *heap,
                                const struct chunk *chunk, size_t size)
{
    const struct chunk *next = chunk_at(chunk, size);
    if (unlikely(next == heap_end(heap))) {
        return false;
    }
    uint32_t low = chunk_low(next);
    uint32_t difference = chunk_seal(next) ^ chunk_seal_for(next, low);
    return (difference == 0 || difference == seal_keys.cached) &&
           (low & CHUNK_PREV_INUSE) != 0;
}

/* Whether this is a sound block of the quarantine's arena that may wait in it,
 * and of several that free it nobody else gets it. */
PTM_INLINE bool claims(const struct quarantine *own, void *mem)
{
    struct heap *heap = heap_for_ptr(mem);
    struct chunk *chunk = mem2chunk(mem);
    if (unlikely(owner_of(mem) != own->owner) ||
        unlikely(!heap_contains(heap, chunk)) ||
        unlikely(heap_page_byte(heap, mem) != 0)) {
        return false;
    }
    uint32_t low = chunk_low(chunk);
    uint32_t seal = chunk_seal_in_use(chunk, low);
    size_t usable = usable_size_of(word_size(low));
    return likely(chunk_seal(chunk) == seal) &&
           likely(quarantine_takes(usable)) &&
           likely(has_sound_neighbour(heap, chunk, word_size(low))) &&
           likely(has_usual_canary(chunk, usable)) &&
           likely(chunk_claim(chunk, seal));
}

/* Whose quarantine it is must stay so from the first look at the block on: a
 * handler that has come in between might take it to another arena. */
bool harden_free_own(void *mem)
{
    struct quarantine *own = mine.own;
    if (unlikely(own == NULL) || unlikely(own->is_busy)) {
        return false;
    }
    begin_use(own);
    bool is_ours = claims(own, mem);
    if (likely(is_ours)) {
        size_t usable = usable_size_of(chunk_size(mem2chunk(mem)));
        memset(mem, 0, usable);
        quarantine_add(own, mem, usable);
        let_some_go(own);
    }
    end_use(own);
    return is_ours;
}

bool harden_free_first(void *mem)
{
    return (mine.own != NULL || make_own() != NULL) && harden_free_own(mem);
}

void harden_release_own(void)
{
    struct quarantine *own = mine.own;
    if (own != NULL && !own->is_busy) {
        begin_use(own);
        empty_own(own);
        end_use(own);
    }
}

void harden_end_thread(void)
{
    struct quarantine *own = mine.own;
    mine.is_settled = true;
    if (own != NULL) {
        harden_release_own();
        mine.own = NULL;
        unlist(own);
        quarantine_unmake(own);
        __atomic_sub_fetch(&all_hold, QUARANTINE_BYTES, __ATOMIC_RELAXED);
    }
}

void harden_after_fork(void)
{
    __atomic_store_n(&all_hold, mine.own != NULL ? QUARANTINE_BYTES : 0,
                     __ATOMIC_RELAXED);
    if (mine.own != NULL) {
        mine.own->draws = 0;
    }
    for (unsigned number = 1; number <= arenas_count(); number++) {
        if (quarantines[number] != NULL) {
            quarantines[number]->draws = 0;
        }
    }
}

const struct description harden_description[] = {
    DESCRIBE_ADDRESS("quarantines", quarantines),
    DESCRIBE_NUMBER("QUARANTINES", QUARANTINES), /* places in that table */
    DESCRIBE_NUMBER("quarantine.size", sizeof(struct quarantine)),
    DESCRIBE_PART("quarantine.first", struct quarantine, first),
    DESCRIBE_PART("quarantine.count", struct quarantine, count),
    DESCRIBE_PART("quarantine.blocks", struct quarantine, mems),
    DESCRIBE_NUMBER("QUARANTINE", QUARANTINE_BLOCKS), /* places in the ring */
    {.name = ""},
};
