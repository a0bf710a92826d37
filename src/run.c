#include "run.h"

#include <string.h>

#include "fatal.h"

const struct run_shape run_shapes[RUN_CLASSES + 1] = RUN_SHAPES;

_Static_assert(RUN_CLASSES == 64, "every class has its shape");

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

void run_begin(struct run_set *set, struct run *run, char *start,
               unsigned size_class)
{
    unsigned objects = run_objects(size_class);
    run->start = start;
    run->size_class = (uint8_t)size_class;
    run->objects = (uint16_t)objects;
    run->free = (uint16_t)objects;
    for (unsigned word = 0; word < RUN_MAP_WORDS; word++) {
        unsigned first = word * 64;
        uint64_t bits = objects >= first + 64 ? ~(uint64_t)0
                        : objects > first
                            ? ((uint64_t)1 << (objects - first)) - 1
                            : 0;
        store_word(run, word, bits);
    }
    set->count++;
    set->free_objects += objects;
    set->free_bytes += objects * class_size(size_class);
    put_in_bucket(set, run);
}

static size_t take_from_word(struct run *run, size_t word, void **mems,
                             size_t most)
{
    size_t size = class_size(run->size_class);
    uint64_t bits = run->free_map[word];
    size_t taken = 0;
    for (; taken < most && bits != 0; taken++, bits &= bits - 1) {
        mems[taken] = run->start + (word * 64 + lowest_bit(bits)) * size;
        object_set_mark(mems[taken]);
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

/* A run without free objects is in no bucket. */
void run_settle(struct run_set *set, struct run *run)
{
    if (run->limit > 1) {
        unlink_from(bucket_of(set, run), run);
    }
    put_in_bucket(set, run);
}

void run_retire(struct run_set *set, struct run *run)
{
    ptm_assert(run_is_empty(run));
    unlink_from(bucket_of(set, run), run);
    set->free_objects -= run->free;
    set->free_bytes -= run->free * class_size(run->size_class);
    set->count--;
    run->objects = 0;
    run->free = 0;
    push(&set->spare, run);
    set->spares++;
}

struct run *run_take_spare(struct run_set *set)
{
    struct run *run = set->spare;
    if (run != NULL) {
        unlink_from(&set->spare, run);
        set->spares--;
    }
    return run;
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
    if (objects != run->objects || free != run->free || free >= objects) {
        return false;
    }
    return free == 0 ? run->limit == 1
                     : run->bucket == bucket_for(run) &&
                           run->limit == most_in_bucket(run) + 1;
}
