#include "guard.h"

#include <stdlib.h>
#include <string.h>

#include "closed.h"
#include "draw.h"
#include "fatal.h"
#include "options.h"
#include "os.h"

enum slot_state {
    SLOT_NEW = 0, /* closed, never used */
    SLOT_TAKEN,   /* somebody's alone */
    SLOT_LIVE,
    SLOT_FREED, /* closed */
};

struct guard_slot {
    uint32_t state;
    uint32_t size;
    char *mem;
    uintptr_t allocated[GUARD_STACK_DEPTH]; /* ended by 0, or full */
    uintptr_t freed[GUARD_STACK_DEPTH];
};

char *guard_pool;

PTM_SPARSE static struct guard_slot guard_slots[GUARD_SLOTS];
static uint32_t next_guard_slot;

/* Blocks that have passed since the last one was picked, and how many will;
 * drawn for the option's value at that time, and in this process. */
static PTM_TLS struct {
    size_t passed;
    size_t distance; /* 0: not drawn */
    size_t interval;
    bool is_forked;
} thread_guard;

size_t guard_pool_size(void)
{
    return (2 * GUARD_SLOTS + 1) * os_page_size();
}

/* ---- whose turn it is ---------------------------------------------------- */

/* At random, so that no pattern of a program's keeps out of the way; half of
 * the interval at least, so that a program that hardly allocates never pays. A
 * child of fork does not begin at the beginning. */
static size_t draw_from(uint32_t interval)
{
    size_t least = thread_guard.is_forked ? 0 : interval / 2;
    return max_size(least + draw_below(interval), 1);
}

static void draw_distance(void)
{
    size_t interval = option_get(OPTION_GUARD);
    thread_guard.passed = 0;
    thread_guard.interval = interval;
    thread_guard.distance =
        interval == 0 ? SIZE_MAX : draw_from((uint32_t)interval);
    thread_guard.is_forked = false;
}

void guard_after_fork(void)
{
    thread_guard.distance = 0;
    thread_guard.is_forked = true;
}

void guard_count(size_t blocks)
{
    thread_guard.passed += blocks;
}

bool guard_is_due(void)
{
    bool is_due = ++thread_guard.passed >= thread_guard.distance;
    bool was_drawn = thread_guard.distance != 0 &&
                     thread_guard.interval == option_get(OPTION_GUARD);
    if (unlikely(is_due || !was_drawn)) {
        draw_distance();
    }
    return is_due && was_drawn;
}

/* ---- who called ------------------------------------------------------------
 */

/* A hint, for itself: relaxed. */
static bool quiet;

static bool is_quiet(void)
{
    return __atomic_load_n(&quiet, __ATOMIC_RELAXED);
}

void guard_be_quiet(void)
{
    __atomic_store_n(&quiet, true, __ATOMIC_RELAXED);
}

/* Ended by 0, or full. */
static void note_callers(uintptr_t stack[GUARD_STACK_DEPTH], struct call call)
{
    size_t count = is_quiet() ? 0 : stack_walk(stack, GUARD_STACK_DEPTH, call);
    memset(stack + count, 0, (GUARD_STACK_DEPTH - count) * sizeof stack[0]);
}

static void tell_stack(const char *what,
                       const uintptr_t stack[GUARD_STACK_DEPTH])
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: ");
    message_text(&message, what);
    for (int i = 0; i < GUARD_STACK_DEPTH && stack[i] != 0; i++) {
        message_text(&message, " ");
        message_hex(&message, stack[i]);
    }
    message_write(&message);
}

/* The crime, on a line like any other, and below it who had the block. A slot
 * that is being taken again may tell of either. */
_Noreturn PTM_COLD static void die_of_slot(const struct guard_slot *slot,
                                           const char *where, const char *what)
{
    fatal_say(&(struct crime){.where = where,
                              .what = what,
                              .address = slot->mem,
                              .size = slot->size});
    tell_stack("allocated by", slot->allocated);
    if (slot->freed[0] != 0) {
        tell_stack("freed by", slot->freed);
    }
    abort();
}

/* ---- slots -----------------------------------------------------------------
 */

static char *page_of_slot(const struct guard_slot *slot)
{
    return guard_pool + (2 * (size_t)(slot - guard_slots) + 1) * os_page_size();
}

static uint32_t slot_state(const struct guard_slot *slot)
{
    return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
}

static void slot_becomes(struct guard_slot *slot, uint32_t state)
{
    __atomic_store_n(&slot->state, state, __ATOMIC_RELEASE);
}

static bool take_slot(struct guard_slot *slot, uint32_t from)
{
    return __atomic_compare_exchange_n(&slot->state, &from, SLOT_TAKEN, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* The one that was freed longest ago, more or less. */
static struct guard_slot *take_any_slot(void)
{
    for (int i = 0; i < GUARD_SLOTS; i++) {
        uint32_t number =
            __atomic_fetch_add(&next_guard_slot, 1, __ATOMIC_RELAXED);
        struct guard_slot *slot = &guard_slots[number % GUARD_SLOTS];
        uint32_t state = slot_state(slot);
        if ((state == SLOT_NEW || state == SLOT_FREED) &&
            take_slot(slot, state)) {
            return slot;
        }
    }
    return NULL;
}

/* Behind the blocks of no bytes. Of two threads that come at once one sets the
 * handler. */
static bool make_pool(void)
{
    char *none = NULL;
    if (__atomic_load_n(&guard_pool, __ATOMIC_ACQUIRE) != NULL) {
        return true;
    }
    char *region = closed_region();
    if (region == NULL || guard_pool_size() > CLOSED_REGION - ZERO_REGION) {
        return false;
    }
    if (__atomic_compare_exchange_n(&guard_pool, &none, region + ZERO_REGION,
                                    false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        os_watch_faults(guard_report_fault);
    }
    return true;
}

/* All bytes of the page that are not the block's. */
static void fill_around(const struct guard_slot *slot)
{
    char *page = page_of_slot(slot);
    char *behind = slot->mem + slot->size;
    memset(page, GUARD_FILL, (size_t)(slot->mem - page));
    memset(behind, GUARD_FILL, (size_t)(page + os_page_size() - behind));
}

static bool is_filled(const char *from, const char *to)
{
    while (from < to && *(const unsigned char *)from == GUARD_FILL) {
        from++;
    }
    return from == to;
}

void *guard_allocate(size_t size, struct call call)
{
    size_t page_size = os_page_size();
    if (size == 0 || size > page_size || is_quiet() || !make_pool()) {
        return NULL;
    }
    struct guard_slot *slot = take_any_slot();
    if (slot == NULL) {
        return NULL;
    }
    char *page = page_of_slot(slot);
    if (!os_commit(page, page_size)) {
        slot_becomes(slot, slot->mem == NULL ? SLOT_NEW : SLOT_FREED);
        return NULL;
    }
    bool at_start = draw_below(GUARD_START_SHARE) == 0;
    size_t room = page_size - round_up(size, MALLOC_ALIGNMENT);
    slot->mem = at_start ? page : page + room;
    slot->size = (uint32_t)size;
    slot->freed[0] = 0;
    note_callers(slot->allocated, call);
    fill_around(slot);
    memset(slot->mem, 0, size);
    slot_becomes(slot, SLOT_LIVE);
    return slot->mem;
}

/* The slot in whose page the address is, or NULL. */
static struct guard_slot *slot_at(const void *address)
{
    size_t page = ((uintptr_t)address - (uintptr_t)guard_pool) / os_page_size();
    return page % 2 == 1 ? &guard_slots[page / 2] : NULL;
}

static bool slot_has(const struct guard_slot *slot, const void *mem,
                     uint32_t state)
{
    return slot != NULL && slot_state(slot) == state && slot->mem == mem;
}

size_t guard_size_at(const void *mem)
{
    const struct guard_slot *slot = slot_at(mem);
    return slot_has(slot, mem, SLOT_LIVE) ? slot->size : 0;
}

bool guard_was_freed(const void *mem)
{
    return slot_has(slot_at(mem), mem, SLOT_FREED);
}

int guard_visit(int (*visit)(void *mem, size_t size, void *data), void *data)
{
    int result = 0;
    for (int i = 0; i < GUARD_SLOTS && result == 0; i++) {
        const struct guard_slot *slot = &guard_slots[i];
        if (slot_state(slot) == SLOT_LIVE) {
            result = visit(slot->mem, slot->size, data);
        }
    }
    return result;
}

/* The slot of a block that the program hands in to `where`. */
static struct guard_slot *verified_slot(const void *mem, const char *where)
{
    struct guard_slot *slot = slot_at(mem);
    if (likely(slot_has(slot, mem, SLOT_LIVE))) {
        return slot;
    }
    if (slot_has(slot, mem, SLOT_FREED)) {
        die_of_slot(slot, where,
                    where == where_free ? "double free"
                                        : "use of a freed block");
    }
    fatal_crime(&(struct crime){
        .where = where, .what = "not a block of malloc", .address = mem});
}

size_t guard_usable_size(const void *mem, const char *where)
{
    return verified_slot(mem, where)->size;
}

void guard_free(void *mem, struct call call)
{
    struct guard_slot *slot = verified_slot(mem, where_free);
    char *page = page_of_slot(slot);
    size_t page_size = os_page_size();
    if (!take_slot(slot, SLOT_LIVE)) {
        die_of_slot(slot, where_free, "double free");
    }
    if (!is_filled(page, slot->mem)) {
        die_of_slot(slot, where_free, "bytes before the block overwritten");
    }
    if (!is_filled(slot->mem + slot->size, page + page_size)) {
        die_of_slot(slot, where_free, "bytes after the block overwritten");
    }
    note_callers(slot->freed, call);
    /* Where the kernel refuses, a use after free goes unnoticed. */
    os_purge(page, page_size);
    os_close(page, page_size);
    slot_becomes(slot, SLOT_FREED);
}

/* ---- faults ----------------------------------------------------------------
 */

/* Between two slots: the one that is nearer, if it was ever used. */
static struct guard_slot *slot_beside(size_t offset)
{
    size_t page = offset / os_page_size();
    bool is_nearer_to_left = offset % os_page_size() < os_page_size() / 2;
    struct guard_slot *left = page > 0 ? &guard_slots[page / 2 - 1] : NULL;
    struct guard_slot *right =
        page < 2 * GUARD_SLOTS ? &guard_slots[page / 2] : NULL;
    bool has_left = left != NULL && slot_state(left) != SLOT_NEW;
    bool has_right = right != NULL && slot_state(right) != SLOT_NEW;
    if (has_left && (is_nearer_to_left || !has_right)) {
        return left;
    }
    return has_right ? right : NULL;
}

/* Only the first thread speaks; others wait for the end. */
static void be_the_first_to_report(void)
{
    static uint32_t is_reported;
    while (__atomic_exchange_n(&is_reported, 1, __ATOMIC_RELAXED) != 0) {
        os_wait(&is_reported, 1);
    }
}

void guard_report_fault(const void *address)
{
    if (!guard_contains(address)) {
        return;
    }
    size_t offset = (uintptr_t)address - (uintptr_t)guard_pool;
    struct guard_slot *slot = slot_at(address);
    const char *what = "use of a freed block";
    if (slot == NULL) {
        slot = slot_beside(offset);
        what = slot != NULL && (const char *)address > slot->mem
                   ? "access behind the block"
                   : "access before the block";
    }
    if (slot == NULL || slot_state(slot) == SLOT_NEW) {
        return;
    }
    be_the_first_to_report();
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: fault at ");
    message_hex(&message, (size_t)address);
    message_write(&message);
    die_of_slot(slot, "guard", what);
}

/* Slot i has page 2 * i + 1 of the pool. */
const struct description guard_description[] = {
    DESCRIBE_ADDRESS("guard_pool", &guard_pool),
    DESCRIBE_ADDRESS("guard_slots", guard_slots),
    DESCRIBE_NUMBER("GUARD_SLOTS", GUARD_SLOTS),
    DESCRIBE_NUMBER("guard_slot.size", sizeof(struct guard_slot)),
    DESCRIBE_PART("guard_slot.state", struct guard_slot, state),
    DESCRIBE_PART("guard_slot.bytes", struct guard_slot, size),
    DESCRIBE_PART("guard_slot.mem", struct guard_slot, mem),
    DESCRIBE_NUMBER("GUARD_LIVE", SLOT_LIVE),
    {.name = ""},
};
