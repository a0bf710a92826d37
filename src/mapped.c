#include "mapped.h"

#include <string.h>

#include "bell.h"
#include "fatal.h"
#include "limit.h"
#include "lock.h"
#include "options.h"
#include "os.h"
#include "probes.h"
#include "recent.h"
#include "walled.h"

/* A slot holds EMPTY, GONE (was used: probing goes on behind it), or the
 * chunk's address. With BUSY added, the chunk is being freed or resized, and is
 * found no more. With KEPT added, it is the start of a mapping that the kernel
 * would not unmap; that is zero and waits to be used again. All of these hash
 * alike: by the page. */
enum {
    SLOT_EMPTY = 0,
    SLOT_GONE = 1,
    SLOT_KEPT = 2,
    SLOT_BUSY = 4,
};

struct slot {
    uintptr_t key;
    size_t length;  /* bytes from the chunk to the end of the mapping */
    uint16_t slack; /* of them, behind the block */
    uint8_t kind;
    bool is_walled;
};

struct slot_array {
    size_t count; /* a power of two */
    struct slot *slots;
};

static struct slot first_slots[MAPPED_STATIC_SLOTS];
static struct slot_array first_array = {MAPPED_STATIC_SLOTS, first_slots};

/* Invariant: used + promised <= array->count / 2, where `used` counts slots
 * that are not EMPTY and `promised` those that are yet to be put; so a probe
 * ends, and what was promised has room. To free needs no promise: it cannot
 * fail.
 *
 * At every moment the table is sound for whoever finds it abandoned (see
 * mapped_after_fork): a length is stored before its key, and an array is filled
 * before it is published. */
static struct {
    struct lock lock;
    struct slot_array *array;
    size_t used;
    size_t promised;
    size_t kept;
    size_t busy;
    struct mapped_totals totals;
} table = {
    .lock = LOCK_INITIAL(LOCK_RANK_MAPPED),
    .array = &first_array,
};

static void lock_table(void)
{
    while (!lock_acquire(&table.lock)) {
        mapped_after_fork();
    }
}

static void unlock_table(void)
{
    lock_release(&table.lock);
}

static bool key_is_live(uintptr_t key)
{
    return key > SLOT_GONE && key % MALLOC_ALIGNMENT == 0;
}

static bool key_is_kept(uintptr_t key)
{
    return key > SLOT_GONE && key % MALLOC_ALIGNMENT == SLOT_KEPT;
}

static size_t slot_index(uintptr_t key, size_t slot_count)
{
    /* Fibonacci hashing of the page number. */
    return (size_t)((key >> 12) * 0x9e3779b97f4a7c15u >> 20) & (slot_count - 1);
}

static struct slot *find_slot(uintptr_t key)
{
    struct slot *slots = table.array->slots;
    size_t mask = table.array->count - 1;
    size_t i = slot_index(key, table.array->count);
    for (; slots[i].key != SLOT_EMPTY; i = (i + 1) & mask) {
        if (slots[i].key == key) {
            return &slots[i];
        }
    }
    return NULL;
}

static struct slot *find_chunk(const struct chunk *chunk)
{
    uintptr_t key = (uintptr_t)chunk;
    return key_is_live(key) ? find_slot(key) : NULL;
}

/* Writes an entry; says whether it took a slot that was EMPTY. */
static bool put(struct slot_array *array, struct slot entry)
{
    size_t i = slot_index(entry.key, array->count);
    while (array->slots[i].key > SLOT_GONE) {
        i = (i + 1) & (array->count - 1);
    }
    bool was_empty = array->slots[i].key == SLOT_EMPTY;
    struct slot *slot = &array->slots[i];
    slot->length = entry.length;
    slot->slack = entry.slack;
    slot->kind = entry.kind;
    slot->is_walled = entry.is_walled;
    __atomic_store_n(&slot->key, entry.key, __ATOMIC_RELEASE);
    return was_empty;
}

static size_t array_bytes(size_t count)
{
    return round_up(sizeof(struct slot_array) + count * sizeof(struct slot),
                    os_page_size());
}

static struct slot_array *array_create(size_t count)
{
    struct slot_array *array = os_map_fenced(array_bytes(count));
    if (array != NULL) {
        array->count = count;
        array->slots = (struct slot *)(array + 1);
    }
    return array;
}

/* Moves all entries to an array with room to double, which also forgets the
 * GONE ones. */
static bool rebuild(void)
{
    struct slot_array *old = table.array;
    size_t entries =
        table.totals.count + table.busy + table.kept + table.promised + 1;
    size_t count = max_size(old->count, 4 * MAPPED_STATIC_SLOTS);
    while (entries > count / 4) {
        count *= 2;
    }
    struct slot_array *array = array_create(count);
    if (array == NULL) {
        return false;
    }
    size_t used = 0;
    for (size_t i = 0; i < old->count; i++) {
        if (old->slots[i].key > SLOT_GONE) {
            used += put(array, old->slots[i]);
        }
    }
    __atomic_store_n(&table.array, array, __ATOMIC_RELEASE);
    table.used = used;
    if (old != &first_array) {
        os_unmap_fenced(old, array_bytes(old->count));
    }
    return true;
}

/* Makes sure that one more entry can be put; counts it as promised. */
static bool promise_slot(void)
{
    if (table.used + table.promised + 1 > table.array->count / 2 &&
        !rebuild()) {
        return false;
    }
    table.promised++;
    return true;
}

static void put_promised(struct slot entry)
{
    table.promised--;
    table.used += put(table.array, entry);
}

static void count_up(size_t length)
{
    struct mapped_totals *totals = &table.totals;
    __atomic_store_n(&totals->count, totals->count + 1, __ATOMIC_RELAXED);
    totals->bytes += length;
    totals->max_count = max_size(totals->max_count, totals->count);
    totals->max_bytes = max_size(totals->max_bytes, totals->bytes);
}

static void count_down(size_t length)
{
    __atomic_store_n(&table.totals.count, table.totals.count - 1,
                     __ATOMIC_RELAXED);
    table.totals.bytes -= length;
}

static char *map_of(const struct chunk *chunk)
{
    return (char *)round_down((uintptr_t)chunk, os_page_size());
}

/* Bytes of the whole mapping of a chunk with this length. */
static size_t map_length(const struct chunk *chunk, size_t length)
{
    return (size_t)((const char *)chunk - map_of(chunk)) + length;
}

/* Takes a kept mapping of at least `length` bytes, or returns NULL. */
static struct chunk *take_kept(size_t length, size_t *got)
{
    if (table.kept == 0) {
        return NULL;
    }
    for (size_t i = 0; i < table.array->count; i++) {
        struct slot *slot = &table.array->slots[i];
        if (key_is_kept(slot->key) && slot->length >= length) {
            struct chunk *chunk = chunk_at((void *)slot->key, -SLOT_KEPT);
            *got = slot->length;
            slot->key = SLOT_GONE;
            table.kept--;
            return chunk;
        }
    }
    return NULL;
}

static void clear_mapping(char *start, size_t length)
{
    if (!os_purge(start, length)) {
        memset(start, 0, length);
    }
}

/* The kernel would not unmap [start, start + length): zeroes it and remembers
 * it for the next one who needs a mapping. The caller has promised a slot. */
static void keep_mapping(char *start, size_t length)
{
    clear_mapping(start, length);
    lock_table();
    put_promised(
        (struct slot){.key = (uintptr_t)start + SLOT_KEPT, .length = length});
    table.kept++;
    unlock_table();
}

static void break_promise(void)
{
    lock_table();
    table.promised--;
    unlock_table();
}

/* With the lock released: unmaps what waits no longer. What the kernel refuses
 * to unmap is remembered, unless not even that can be done. */
static bool unmap_victims(const struct victims *victims)
{
    for (size_t i = 0; i < victims->count; i++) {
        struct mapping mapping = victims->mappings[i];
        if (os_unmap(mapping.start, mapping.length)) {
            continue;
        }
        lock_table();
        bool promised = promise_slot();
        unlock_table();
        if (promised) {
            keep_mapping(mapping.start, mapping.length);
        }
    }
    return victims->count > 0;
}

/* The same for what is closed. It is opened to be kept; if that is refused too,
 * its addresses are lost. */
static void unmap_walled(const struct victims *walled)
{
    for (size_t i = 0; i < walled->count; i++) {
        struct mapping mapping = walled->mappings[i];
        if (!os_unmap(mapping.start, mapping.length) &&
            os_commit(mapping.start, mapping.length)) {
            unmap_victims(&(struct victims){.count = 1, .mappings = {mapping}});
        }
    }
}

/* Unmaps, or keeps; in both cases the promise is settled. */
static void discard_new_mapping(char *start, size_t length)
{
    if (os_unmap(start, length)) {
        break_promise();
    } else {
        keep_mapping(start, length);
    }
}

/* Cuts the pages off that an aligned block does not need. False when the
 * kernel refused: the rest, in *start and *length, is then to be discarded.
 */
static bool cut_to(char **start, size_t *length, char *first, char *end)
{
    if (first > *start) {
        if (!os_unmap(*start, (size_t)(first - *start))) {
            return false;
        }
        *length -= (size_t)(first - *start);
        *start = first;
    }
    if (*start + *length > end) {
        if (!os_unmap(end, (size_t)(*start + *length - end))) {
            return false;
        }
        *length = (size_t)(end - *start);
    }
    return true;
}

/* A new mapping with `size` usable bytes at the alignment. When there is none,
 * the promise of a slot for it is settled. */
static struct chunk *map_aligned(size_t alignment, size_t size, size_t *length)
{
    size_t page = os_page_size();
    size_t whole;
    if (__builtin_add_overflow(size, alignment + 2 * page, &whole)) {
        break_promise();
        return NULL;
    }
    whole = round_down(whole, page);
    char *start = os_map(whole);
    if (start == NULL) {
        break_promise();
        return NULL;
    }
    uintptr_t mem = round_up((uintptr_t)start + CHUNK_HEADER_SIZE, alignment);
    struct chunk *chunk = mem2chunk((void *)mem);
    char *end = (char *)round_up(mem + size, page);
    if (!cut_to(&start, &whole, map_of(chunk), end)) {
        discard_new_mapping(start, whole);
        return NULL;
    }
    *length = (size_t)(end - (char *)chunk);
    limit_note_growth(*length);
    return chunk;
}

/* What is live, `wanted` bytes more, and what is kept are never much more,
 * together, than what was live at once. */
static size_t recent_limit(size_t wanted)
{
    size_t live = table.totals.bytes + wanted;
    size_t most = table.totals.max_bytes;
    most += most / RECENT_EXTRA_SHARE;
    most = min_size(most - min_size(most, live), table.totals.max_bytes);
    if (!bell_has_helper()) {
        size_t spare = table.totals.bytes / RECENT_LIVE_SHARE;
        most = min_size(most, recent_allowance() + spare);
    }
    return min_size(option_get(OPTION_MAPPED_CACHE), most);
}

/* A recent mapping, made large enough; NULL when there is none, or when the
 * kernel would not let it grow. */
static struct chunk *reuse_recent(struct mapping mapping, size_t *length)
{
    if (mapping.length >= *length) {
        *length = mapping.length;
        return (struct chunk *)mapping.start;
    }
    if (mapping.length == 0) {
        return NULL;
    }
    struct chunk *chunk = os_remap(mapping.start, mapping.length, *length);
    limit_note_growth(chunk != NULL ? *length - mapping.length : 0);
    return chunk;
}

static struct chunk *map_new(size_t length)
{
    struct chunk *chunk = os_map(length);
    limit_note_growth(chunk != NULL ? length : 0);
    return chunk;
}

static void put_back_recent(struct mapping mapping, size_t wanted)
{
    struct victims victims = {.count = 0};
    lock_table();
    recent_put_back(mapping, recent_limit(wanted), &victims);
    recent_note_miss(mapping.length);
    unlock_table();
    unmap_victims(&victims);
}

/* A new mapping, since a recent one, if there is any, could not be grown: two
 * that lie side by side may be two to the kernel, which grows neither then. It
 * is of use to others yet; but where there is no memory, it goes. */
static struct chunk *map_beside(struct mapping other, size_t length)
{
    struct chunk *chunk = map_new(length);
    if (other.length == 0) {
        return chunk;
    }
    if (chunk != NULL) {
        put_back_recent(other, length);
        return chunk;
    }
    struct victims victims = {.count = 1, .mappings = {other}};
    unmap_victims(&victims);
    return map_new(length);
}

/* The same for an ordinary block: one that is kept, a recent one, or new. */
static struct chunk *map_plain(size_t size, size_t *length, bool *is_zero)
{
    struct victims victims = {.count = 0};
    struct mapping mapping = {0};
    *length = round_up(size + CHUNK_HEADER_SIZE, os_page_size());
    lock_table();
    recent_expire(&victims);
    struct chunk *chunk = take_kept(*length, length);
    if (chunk == NULL) {
        mapping = recent_take(*length);
        recent_note_miss(*length - mapping.length);
    }
    unlock_table();
    unmap_victims(&victims);
    if (chunk == NULL) {
        chunk = reuse_recent(mapping, length);
        *is_zero = chunk == NULL;
    }
    if (chunk == NULL) {
        chunk = map_beside(mapping, *length);
    }
    if (chunk == NULL) {
        break_promise();
    }
    return chunk;
}

/* In hardened mode. What no wall can be built around is mapped without. */
static struct chunk *map_walled(size_t alignment, size_t size,
                                struct slot *entry)
{
    if (!option_get(OPTION_HARDENED) || alignment > os_page_size()) {
        return NULL;
    }
    struct walled walled = walled_map(alignment, size);
    entry->length = walled.length;
    entry->slack = (uint16_t)walled.slack;
    entry->is_walled = walled.chunk != NULL;
    return walled.chunk;
}

struct chunk *mapped_allocate(size_t alignment, size_t size, bool *is_zero)
{
    /* A block of no bytes must still lie in its own mapping. */
    size = max_size(size, usable_size_of(MIN_CHUNK_SIZE));
    lock_table();
    bool promised = promise_slot();
    unlock_table();
    if (!promised) {
        return NULL;
    }
    struct slot entry = {.kind = KIND_MALLOC};
    *is_zero = true;
    struct chunk *chunk = map_walled(alignment, size, &entry);
    if (chunk == NULL) {
        chunk = alignment <= MALLOC_ALIGNMENT
                    ? map_plain(size, &entry.length, is_zero)
                    : map_aligned(alignment, size, &entry.length);
    }
    if (chunk == NULL) {
        return NULL;
    }
    seal_prepare();
    chunk_set_mapped(chunk, entry.length);
    PROBE_2(ptm, mmap, chunk, entry.length);
    entry.key = (uintptr_t)chunk;
    lock_table();
    put_promised(entry);
    count_up(entry.length);
    unlock_table();
    return chunk;
}

static struct walled walled_of(const struct slot *slot)
{
    return (struct walled){chunk_at((void *)slot->key, 0), slot->length,
                           slot->slack};
}

static size_t usable_of(const struct slot *slot)
{
    return slot->length - CHUNK_HEADER_SIZE - slot->slack;
}

/* What the header and the table say of a live entry, if there is one. */
static enum mapped_verdict look_at(const struct chunk *chunk,
                                   const struct slot *slot)
{
    if (slot == NULL) {
        return MAPPED_UNKNOWN;
    }
    if (!chunk_is_mapped_with(chunk, slot->length)) {
        return MAPPED_DESTROYED;
    }
    struct walled walled = walled_of(slot);
    return slot->is_walled && !walled_is_sound(&walled) ? MAPPED_OVERRUN
                                                        : MAPPED_OK;
}

/* A live entry becomes BUSY, and is this caller's alone; it is what *entry
 * says. */
static enum mapped_verdict claim(const struct chunk *chunk, struct slot *entry)
{
    struct slot *slot = find_chunk(chunk);
    enum mapped_verdict verdict = look_at(chunk, slot);
    if (verdict == MAPPED_OK) {
        *entry = *slot;
        __atomic_store_n(&slot->key, slot->key + SLOT_BUSY, __ATOMIC_RELEASE);
        table.busy++;
        count_down(entry->length);
    }
    return verdict;
}

/* A BUSY entry becomes what `key` says. */
static void settle_claim(const struct chunk *chunk, struct slot entry)
{
    struct slot *slot = find_slot((uintptr_t)chunk + SLOT_BUSY);
    slot->length = entry.length;
    __atomic_store_n(&slot->key, entry.key, __ATOMIC_RELEASE);
    table.busy--;
    table.kept += key_is_kept(entry.key);
    if (key_is_live(entry.key)) {
        count_up(entry.length);
    }
}

/* Its entry is BUSY. The lock is not held, since this asks the kernel. */
static void free_walled(struct chunk *chunk, const struct slot *entry)
{
    struct victims victims = {.count = 0};
    struct walled walled = walled_of(entry);
    struct mapping mapping = walled_close(&walled);
    lock_table();
    settle_claim(chunk, (struct slot){.key = SLOT_GONE});
    walled_wait(mapping, &victims);
    unlock_table();
    unmap_walled(&victims);
}

static void free_plain_locked(struct chunk *chunk, size_t length,
                              struct victims *victims)
{
    settle_claim(chunk, (struct slot){.key = SLOT_GONE});
    recent_expire(victims);
    recent_keep((struct mapping){.start = map_of(chunk),
                                 .length = map_length(chunk, length)},
                recent_limit(0), victims);
}

enum mapped_verdict mapped_free(struct chunk *chunk)
{
    struct slot entry = {0};
    struct victims victims = {.count = 0};
    lock_table();
    enum mapped_verdict verdict = claim(chunk, &entry);
    bool is_walled = verdict == MAPPED_OK && entry.is_walled;
    if (verdict == MAPPED_OK && !is_walled) {
        free_plain_locked(chunk, entry.length, &victims);
    }
    unlock_table();
    unmap_victims(&victims);
    if (is_walled) {
        free_walled(chunk, &entry);
    }
    return verdict;
}

void mapped_expire(void)
{
    struct victims victims = {.count = 0};
    lock_table();
    recent_expire(&victims);
    unlock_table();
    unmap_victims(&victims);
}

bool mapped_keeps_any(void)
{
    return recent_has_any();
}

bool mapped_trim(void)
{
    struct victims victims = {.count = 0}, walled = {.count = 0};
    lock_table();
    recent_expire_all(&victims);
    walled_wake_all(&walled);
    unlock_table();
    unmap_walled(&walled);
    return unmap_victims(&victims) || walled.count > 0;
}

/* Adds what is kept right behind a mapping to it, if that is enough. Else the
 * kernel is asked, as for a new one. */
static bool take_behind(char *end, size_t more)
{
    lock_table();
    bool taken = recent_take_behind(end, more);
    if (!taken) {
        recent_note_miss(more);
    }
    unlock_table();
    return taken;
}

/* What a chunk of this length becomes when its mapping holds `size` bytes:
 * moved, longer or shorter; NULL when the kernel refuses. */
static struct chunk *remap(struct chunk *chunk, size_t *length, size_t size)
{
    char *map = map_of(chunk);
    size_t offset = (size_t)((char *)chunk - map);
    size_t had = offset + *length;
    size_t wanted = round_up(offset + CHUNK_HEADER_SIZE + size, os_page_size());
    if (wanted < had ||
        (wanted > had && !take_behind(map + had, wanted - had))) {
        map = os_remap(map, had, wanted);
        limit_note_growth(map != NULL && wanted > had ? wanted - had : 0);
    }
    if (map == NULL) {
        return NULL;
    }
    *length = wanted - offset;
    chunk = chunk_at(map, offset);
    chunk_set_mapped(chunk, *length);
    return chunk;
}

static enum mapped_verdict claim_with_promise(const struct chunk *chunk,
                                              struct slot *entry)
{
    lock_table();
    enum mapped_verdict verdict =
        promise_slot() ? claim(chunk, entry) : MAPPED_REFUSED;
    if (verdict != MAPPED_OK && verdict != MAPPED_REFUSED) {
        table.promised--;
    }
    unlock_table();
    return verdict;
}

enum mapped_verdict mapped_resize(struct chunk **chunk, size_t size)
{
    struct slot entry = {0};
    enum mapped_verdict verdict = claim_with_promise(*chunk, &entry);
    if (verdict != MAPPED_OK) {
        return verdict;
    }
    size_t length = entry.length;
    struct chunk *moved = entry.is_walled ? NULL : remap(*chunk, &length, size);
    lock_table();
    if (moved == NULL) {
        settle_claim(*chunk, entry);
        table.promised--;
        verdict = MAPPED_REFUSED;
    } else {
        settle_claim(*chunk, (struct slot){.key = SLOT_GONE});
        entry.key = (uintptr_t)moved;
        entry.length = length;
        put_promised(entry);
        count_up(length);
        *chunk = moved;
    }
    unlock_table();
    return verdict;
}

enum mapped_verdict mapped_look(const struct chunk *chunk,
                                struct mapped_block *block)
{
    lock_table();
    const struct slot *slot = find_chunk(chunk);
    enum mapped_verdict verdict = look_at(chunk, slot);
    if (verdict == MAPPED_OK) {
        *block =
            (struct mapped_block){usable_of(slot), (enum block_kind)slot->kind};
    }
    unlock_table();
    return verdict;
}

enum mapped_verdict mapped_usable_size(const struct chunk *chunk,
                                       size_t *usable)
{
    struct mapped_block block;
    enum mapped_verdict verdict = mapped_look(chunk, &block);
    if (verdict == MAPPED_OK) {
        *usable = block.usable;
    }
    return verdict;
}

void mapped_set_kind(const struct chunk *chunk, enum block_kind kind)
{
    lock_table();
    struct slot *slot = find_chunk(chunk);
    if (slot != NULL) {
        slot->kind = (uint8_t)kind;
    }
    unlock_table();
}

int mapped_visit(int (*visit)(void *mem, size_t usable, void *data), void *data)
{
    int result = 0;
    lock_table();
    for (size_t i = 0; i < table.array->count && result == 0; i++) {
        const struct slot *slot = &table.array->slots[i];
        if (key_is_live(slot->key)) {
            result = visit(chunk2mem(chunk_at((void *)slot->key, 0)),
                           usable_of(slot), data);
        }
    }
    unlock_table();
    return result;
}

size_t mapped_count(void)
{
    return __atomic_load_n(&table.totals.count, __ATOMIC_RELAXED);
}

struct mapped_totals mapped_get_totals(void)
{
    lock_table();
    struct mapped_totals totals = table.totals;
    unlock_table();
    return totals;
}

static const char *inspect_locked(const void **where)
{
    size_t count = 0, bytes = 0, kept = 0, busy = 0, used = 0;
    for (size_t i = 0; i < table.array->count; i++) {
        const struct slot *slot = &table.array->slots[i];
        used += slot->key != SLOT_EMPTY;
        *where = slot;
        if (key_is_kept(slot->key)) {
            kept++;
        } else if (slot->key > SLOT_GONE && !key_is_live(slot->key)) {
            busy++;
        } else if (key_is_live(slot->key)) {
            const struct chunk *chunk = chunk_at((void *)slot->key, 0);
            *where = chunk2mem(chunk);
            if (find_chunk(chunk) != slot) {
                return "mapping cannot be found in the table";
            }
            if (!chunk_is_mapped_with(chunk, slot->length)) {
                return "header of a mapping does not match the table";
            }
            count++;
            bytes += slot->length;
        }
    }
    *where = &table;
    if (count != table.totals.count || bytes != table.totals.bytes ||
        kept != table.kept || busy != table.busy || used != table.used) {
        return "totals of the mappings do not match the table";
    }
    if (used + table.promised > table.array->count / 2) {
        return "table of the mappings is too full";
    }
    return NULL;
}

const char *mapped_inspect(const void **where)
{
    lock_table();
    const char *wrong = inspect_locked(where);
    unlock_table();
    return wrong;
}

/* Counts again what an interrupted holder may have left half counted. */
static void recount(void)
{
    size_t used = 0, kept = 0, busy = 0, count = 0, bytes = 0;
    for (size_t i = 0; i < table.array->count; i++) {
        const struct slot *slot = &table.array->slots[i];
        used += slot->key != SLOT_EMPTY;
        if (key_is_live(slot->key)) {
            count++;
            bytes += slot->length;
        } else if (key_is_kept(slot->key)) {
            kept++;
        } else {
            busy += slot->key > SLOT_GONE;
        }
    }
    table.used = used;
    table.kept = kept;
    table.busy = busy;
    table.totals.count = count;
    table.totals.bytes = bytes;
}

/* Promises of threads that are gone are forgotten; their mappings, if they
 * had one, are lost to this process. A promise of this thread, interrupted by
 * a signal handler that forked, is one slot of the half that stays free. */
void mapped_after_fork(void)
{
    if (lock_is_confirmed(&table.lock)) {
        return;
    }
    if (!lock_is_orphaned(&table.lock)) {
        lock_confirm(&table.lock);
        return;
    }
    recount();
    recent_forget();
    walled_forget();
    table.promised = 0;
    lock_reset(&table.lock);
}

const struct description mapped_description[] = {
    DESCRIBE_ADDRESS("mapped", &table),
    DESCRIBE_PART("mapped.array", __typeof(table), array),
    DESCRIBE_PART("mapped.most", __typeof(table), totals.max_bytes),
    DESCRIBE_ADDRESS("first_slots", &first_array),
    DESCRIBE_PART("slots.count", struct slot_array, count),
    DESCRIBE_PART("slots.first", struct slot_array, slots),
    DESCRIBE_NUMBER("slot.size", sizeof(struct slot)),
    DESCRIBE_PART("slot.key", struct slot, key),
    DESCRIBE_PART("slot.length", struct slot, length),
    DESCRIBE_NUMBER("SLOT_STATE", MALLOC_ALIGNMENT - 1), /* 0: live */
    DESCRIBE_NUMBER("SLOT_GONE", SLOT_GONE),
    DESCRIBE_NUMBER("SLOT_KEPT", SLOT_KEPT),
    {.name = ""},
};
