#include "run.h"

#include <string.h>

#include "fatal.h"

const struct run_shape run_shapes[RUN_CLASSES + 1] = RUN_SHAPES;

_Static_assert(RUN_CLASSES == 64, "every class has its shape");

enum {
    ALL_QUARTERS = (1 << RUN_QUARTERS) - 1,
};

/* ---- buckets --------------------------------------------------------------
 */

static struct run **bucket_of(struct run_set *set, const struct run *run)
{
    return &set->buckets[run->size_class - CHUNK_CLASSES][run->bucket];
}

/* By the share of objects that are free, the fullest runs first. */
static unsigned bucket_for(const struct run *run)
{
    unsigned quarter = run->objects / RUN_BUCKETS;
    return (run->free > quarter) + (run->free > 2 * quarter) +
           (run->free > 3 * quarter);
}

static void push(struct run **list, struct run *run)
{
    run->next = *list;
    run->previous = NULL;
    if (*list != NULL) {
        (*list)->previous = run;
    }
    *list = run;
}

static void unlink_from(struct run **list, struct run *run)
{
    if (run->next != NULL) {
        run->next->previous = run->previous;
    }
    if (run->previous != NULL) {
        run->previous->next = run->next;
    } else {
        *list = run->next;
    }
}

/* More free objects than these belong in the next bucket, if there is one. */
static unsigned most_in_bucket(const struct run *run)
{
    unsigned quarter = run->objects / RUN_BUCKETS;
    return run->bucket + 1 < RUN_BUCKETS ? (run->bucket + 1u) * quarter
                                         : run->objects - 1u;
}

static void put_in_bucket(struct run_set *set, struct run *run)
{
    run->bucket = (uint8_t)bucket_for(run);
    run->limit = (uint16_t)(most_in_bucket(run) + 1);
    push(bucket_of(set, run), run);
}

/* ---- objects --------------------------------------------------------------
 */

/* Words of the map are stored whole: who reads a bit without the lock sees it
 * as it was or is. */
static void store_word(struct run *run, size_t word, uint64_t bits)
{
    __atomic_store_n(&run->free_map[word], bits, __ATOMIC_RELAXED);
}

bool run_has_free(const struct run *run, unsigned size_class, const void *mem)
{
    unsigned index = run_index_of(size_class, mem);
    uint64_t bits =
        __atomic_load_n(&run->free_map[index / 64], __ATOMIC_RELAXED);
    return (bits >> index % 64 & 1) != 0;
}

static void store_byte(struct run *run, unsigned byte)
{
    __atomic_store_n(run->byte, (uint8_t)byte, __ATOMIC_RELAXED);
    tags_set_byte(run->start, byte);
}

/* The number of the class, and whether some of it was given back, or is in a
 * profile. */
static unsigned byte_of(const struct run *run)
{
    unsigned number = (unsigned)run_shape_index(run->size_class);
    bool is_watched = run->dirty != ALL_QUARTERS || run->is_sampled;
    return number | (is_watched ? RUN_WATCHED : 0u);
}

static void update_byte(struct run *run)
{
    store_byte(run, byte_of(run));
}

void run_note_sampled(struct run *run, bool is_sampled)
{
    run->is_sampled = is_sampled;
    update_byte(run);
}

void run_begin(struct run_set *set, struct run *run, unsigned size_class)
{
    unsigned objects = run_objects(size_class);
    run->size_class = (uint8_t)size_class;
    run->objects = (uint16_t)objects;
    run->free = (uint16_t)objects;
    run->is_sampled = false;
    for (unsigned word = 0; word < RUN_MAP_WORDS; word++) {
        unsigned first = word * 64;
        uint64_t bits = objects >= first + 64 ? ~(uint64_t)0
                        : objects > first
                            ? ((uint64_t)1 << (objects - first)) - 1
                            : 0;
        store_word(run, word, bits);
    }
    set->counts[size_class - CHUNK_CLASSES]++;
    set->count++;
    set->free_objects += objects;
    set->free_bytes += objects * class_size(size_class);
    put_in_bucket(set, run);
    update_byte(run);
}

/* The quarters that objects from the one to the other lie in. */
static unsigned quarters_of(const char *first, const char *last, size_t size)
{
    size_t from = run_offset(first) / RUN_QUARTER;
    size_t to = (run_offset(last) + size - 1) / RUN_QUARTER;
    return (ALL_QUARTERS >> (RUN_QUARTERS - 1 - (to - from))) << from;
}

/* The objects that begin in a quarter are from this one on. */
static unsigned first_that_begins(unsigned quarter, size_t size)
{
    return (unsigned)((quarter * RUN_QUARTER + size - 1) / size);
}

/* Their marks went with what the kernel had. A mark is in the quarter in which
 * its object begins. */
static void mark_free_objects(struct run *run, unsigned quarter)
{
    size_t size = class_size(run->size_class);
    size_t end = min_size(first_that_begins(quarter + 1, size), run->objects);
    for (size_t i = first_that_begins(quarter, size); i < end; i++) {
        if ((run->free_map[i / 64] >> i % 64 & 1) != 0) {
            object_set_mark(run->start + i * size);
        }
    }
}

/* These quarters have memory again; that of a spare has no objects. */
static void note_dirty(struct run *run, unsigned quarters)
{
    unsigned clean = quarters & ~(unsigned)run->dirty;
    run->dirty |= (uint8_t)quarters;
    if (run->objects == 0) {
        return;
    }
    for (unsigned quarter = 0; quarter < RUN_QUARTERS; quarter++) {
        if ((clean >> quarter & 1) != 0) {
            mark_free_objects(run, quarter);
        }
    }
    update_byte(run);
}

/* Some of the run's objects were taken, in the order of their addresses. */
static void note_taken(struct run *run, void *const *mems, size_t taken)
{
    if (unlikely(run->dirty != ALL_QUARTERS) && taken > 0) {
        size_t size = class_size(run->size_class);
        note_dirty(run, quarters_of(mems[0], mems[taken - 1], size));
    }
}

/* How many bits follow each other from the lowest one on, which is not 0. */
static unsigned lowest_bits(uint64_t bits)
{
    uint64_t behind = ~(bits >> lowest_bit(bits));
    return behind == 0 ? 64 : lowest_bit(behind);
}

/* So many objects from the one at `mem` on. */
static void take_row(char *mem, size_t size, void **mems, size_t count)
{
    for (size_t i = 0; i < count; i++, mem += size) {
        mems[i] = mem;
        object_set_mark(mem);
    }
}

/* Free objects most often lie side by side. */
static size_t take_from_word(struct run *run, size_t word, void **mems,
                             size_t most)
{
    size_t size = class_size(run->size_class);
    char *start = run->start + word * 64 * size;
    uint64_t bits = run->free_map[word];
    size_t taken = 0;
    while (taken < most && bits != 0) {
        unsigned first = lowest_bit(bits);
        size_t count = min_size(lowest_bits(bits), most - taken);
        take_row(start + first * size, size, mems + taken, count);
        bits &= ~(~(uint64_t)0 >> (64 - count) << first);
        taken += count;
    }
    store_word(run, word, bits);
    return taken;
}

static size_t take_from_run(struct run_set *set, struct run *run, void **mems,
                            size_t most)
{
    size_t taken = 0;
    for (size_t word = 0; word < RUN_MAP_WORDS && taken < most; word++) {
        taken += take_from_word(run, word, mems + taken, most - taken);
    }
    note_taken(run, mems, taken);
    unlink_from(bucket_of(set, run), run);
    run->free = (uint16_t)(run->free - taken);
    set->free_objects -= taken;
    set->free_bytes -= taken * class_size(run->size_class);
    if (run->free > 0) {
        put_in_bucket(set, run);
    } else {
        run->limit = 1;
    }
    return taken;
}

static struct run *fullest(struct run_set *set, unsigned size_class)
{
    for (unsigned bucket = 0; bucket < RUN_BUCKETS; bucket++) {
        struct run *run = set->buckets[size_class - CHUNK_CLASSES][bucket];
        if (run != NULL) {
            return run;
        }
    }
    return NULL;
}

size_t run_take(struct run_set *set, unsigned size_class, void **mems,
                size_t most)
{
    size_t taken = 0;
    while (taken < most) {
        struct run *run = fullest(set, size_class);
        if (run == NULL) {
            break;
        }
        taken += take_from_run(set, run, mems + taken, most - taken);
    }
    return taken;
}

void run_count_returned(struct run_set *set, unsigned size_class, size_t count)
{
    set->free_objects += count;
    set->free_bytes += count * class_size(size_class);
}

/* A run that had no free objects is in no bucket. */
static void leave_bucket(struct run_set *set, struct run *run)
{
    if (run->limit > 1) {
        unlink_from(bucket_of(set, run), run);
    }
}

void run_settle(struct run_set *set, struct run *run)
{
    leave_bucket(set, run);
    put_in_bucket(set, run);
}

/* ---- spans ----------------------------------------------------------------
 */

/* All its pages are spares now. */
static void collect_span(struct run_set *set, struct run *first)
{
    for (unsigned i = 0; i < first->pages; i++) {
        unlink_from(&set->spare, &first[i]);
    }
    push(&set->empty, first);
    set->empty_pages += first->pages;
}

/* The pages of an empty span are to be used, the first one first. */
static void spread_span(struct run_set *set, struct run *first)
{
    unlink_from(&set->empty, first);
    set->empty_pages -= first->pages;
    for (unsigned i = first->pages; i > 0; i--) {
        push(&set->spare, &first[i - 1]);
    }
}

void run_retire(struct run_set *set, struct run *run)
{
    ptm_assert(run_is_empty(run));
    leave_bucket(set, run);
    set->free_objects -= run->free;
    set->free_bytes -= run->free * class_size(run->size_class);
    set->counts[run->size_class - CHUNK_CLASSES]--;
    set->count--;
    run->objects = 0;
    run->free = 0;
    store_byte(run, 0);
    push(&set->spare, run);
    set->spares++;
    struct run *first = run_first_of_span(run);
    if (--first->used == 0) {
        collect_span(set, first);
    }
}

struct run *run_take_spare(struct run_set *set)
{
    if (set->spare == NULL && set->empty != NULL) {
        spread_span(set, set->empty);
    }
    struct run *run = set->spare;
    if (run != NULL) {
        unlink_from(&set->spare, run);
        set->spares--;
        run_first_of_span(run)->used++;
    }
    return run;
}

void run_add_span(struct run_set *set, struct run *first, uint8_t *bytes,
                  char *start, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++) {
        first[i].start = start + i * RUN_SIZE;
        first[i].byte = bytes + i;
        store_byte(&first[i], 0);
        first[i].at = (uint8_t)i;
        first[i].dirty = ALL_QUARTERS;
    }
    first->pages = (uint8_t)pages;
    set->spares += pages;
    set->empty_pages += pages;
    push(&set->empty, first);
}

struct run *run_take_empty_span(struct run_set *set)
{
    struct run *first = set->empty;
    if (first != NULL) {
        unlink_from(&set->empty, first);
        set->spares -= first->pages;
        set->empty_pages -= first->pages;
        first->pages = 0;
    }
    return first;
}

/* ---- quarters -------------------------------------------------------------
 */

/* Whether all of these objects are free. */
static bool are_free(const struct run *run, unsigned first, unsigned end)
{
    for (; first < end; first++) {
        if ((run->free_map[first / 64] >> first % 64 & 1) == 0) {
            return false;
        }
    }
    return true;
}

/* A spare has no objects. */
static bool quarter_is_free(const struct run *run, unsigned quarter)
{
    if (run->objects == 0) {
        return true;
    }
    size_t size = class_size(run->size_class);
    size_t first = quarter * RUN_QUARTER / size;
    size_t last = ((quarter + 1) * RUN_QUARTER - 1) / size;
    return are_free(run, (unsigned)first,
                    (unsigned)min_size(last + 1, run->objects));
}

unsigned run_idle_quarters(const struct run *run)
{
    const struct run *first = run - run->at;
    unsigned quarters = 0;
    for (unsigned quarter = 0; quarter < RUN_QUARTERS; quarter++) {
        unsigned bit = 1u << quarter;
        if ((run->dirty & bit) != 0 && quarter_is_free(run, quarter)) {
            quarters |= bit;
        }
    }
    bool is_last = run->at + 1 == first->pages;
    return is_last ? quarters & ~(1u << (RUN_QUARTERS - 1)) : quarters;
}

void run_note_returned(struct run *run, unsigned quarters)
{
    run->dirty &= (uint8_t)~quarters;
    if (run->objects > 0) {
        update_byte(run);
    }
}

void run_note_refused(struct run *run, unsigned quarters)
{
    note_dirty(run, quarters);
}

void run_end_watch(struct run *run)
{
    note_dirty(run, ALL_QUARTERS);
}

static bool clean_quarters_are_free(const struct run *run)
{
    for (unsigned quarter = 0; quarter < RUN_QUARTERS; quarter++) {
        if ((run->dirty >> quarter & 1) == 0 &&
            !quarter_is_free(run, quarter)) {
            return false;
        }
    }
    return true;
}

bool run_is_sound(const struct run *run)
{
    unsigned objects = run_objects(run->size_class);
    size_t free = 0;
    for (size_t word = 0; word < RUN_MAP_WORDS; word++) {
        uint64_t bits = run->free_map[word];
        free += (size_t)__builtin_popcountll(bits);
        if (objects < (word + 1) * 64 && objects > word * 64 &&
            bits >> (objects - word * 64) != 0) {
            return false;
        }
        if (objects <= word * 64 && bits != 0) {
            return false;
        }
    }
    if (objects != run->objects || free != run->free || free >= objects ||
        !clean_quarters_are_free(run) || *run->byte != byte_of(run)) {
        return false;
    }
    return free == 0 ? run->limit == 1
                     : run->bucket == bucket_for(run) &&
                           run->limit == most_in_bucket(run) + 1;
}
