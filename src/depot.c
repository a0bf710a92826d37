#include "depot.h"

#include <string.h>

#include "fatal.h"
#include "os.h"

_Static_assert(sizeof(struct magazine) == 512, "a magazine fills its lines");

static struct magazine *new_magazine(struct depot *depot)
{
    if (depot->metadata_left < sizeof(struct magazine)) {
        if (patience_is_asked(&depot->patience)) {
            return NULL;
        }
        char *metadata = os_map_fenced(METADATA_STEP);
        if (metadata == NULL) {
            patience_begin(&depot->patience);
            return NULL;
        }
        depot->metadata = metadata;
        depot->metadata_left = METADATA_STEP;
    }
    struct magazine *magazine = (struct magazine *)depot->metadata;
    depot->metadata += sizeof *magazine;
    depot->metadata_left -= sizeof *magazine;
    return magazine;
}

static struct magazine *take_spare(struct depot *depot)
{
    struct magazine *magazine = depot->spare;
    if (magazine == NULL) {
        return new_magazine(depot);
    }
    depot->spare = magazine->next;
    return magazine;
}

/* The first magazine of the class, if it has room, else an empty one put
 * first. NULL when there is no memory for it. */
static struct magazine *magazine_with_room(struct depot *depot,
                                           unsigned size_class)
{
    struct magazine *magazine = depot->full[size_class];
    if (magazine != NULL && magazine->count < MAGAZINE_MAX) {
        return magazine;
    }
    magazine = take_spare(depot);
    if (magazine != NULL) {
        magazine->count = 0;
        magazine->next = depot->full[size_class];
        depot->full[size_class] = magazine;
        depot->map[size_class / 64] |= (uint64_t)1 << size_class % 64;
    }
    return magazine;
}

size_t depot_give(struct depot *depot, unsigned size_class, void *const *mems,
                  size_t count)
{
    size_t given = 0;
    while (given < count) {
        struct magazine *magazine = magazine_with_room(depot, size_class);
        if (magazine == NULL) {
            break;
        }
        size_t part = min_size(count - given, MAGAZINE_MAX - magazine->count);
        memcpy(magazine->mems + magazine->count, mems + given,
               part * sizeof *mems);
        magazine->count += part;
        given += part;
    }
    depot->bytes += given * class_size(size_class);
    depot_set_blocks(depot, depot->blocks + given);
    return given;
}

/* The first magazine of the class, which is empty, becomes a spare. */
static void drop_magazine(struct depot *depot, unsigned size_class)
{
    struct magazine *magazine = depot->full[size_class];
    depot->full[size_class] = magazine->next;
    if (magazine->next == NULL) {
        depot->map[size_class / 64] &= ~((uint64_t)1 << size_class % 64);
    }
    magazine->next = depot->spare;
    depot->spare = magazine;
}

size_t depot_take(struct depot *depot, unsigned size_class, void **mems,
                  size_t most)
{
    struct magazine *magazine = depot->full[size_class];
    if (magazine == NULL) {
        return 0;
    }
    size_t taken = min_size(magazine->count, most);
    magazine->count -= taken;
    memcpy(mems, magazine->mems + magazine->count, taken * sizeof *mems);
    if (magazine->count == 0) {
        drop_magazine(depot, size_class);
    }
    depot->bytes -= taken * class_size(size_class);
    depot_set_blocks(depot, depot->blocks - taken);
    depot->low = min_size(depot->low, depot->blocks);
    return taken;
}

/* The first class at or behind `size_class` that has a magazine; one has. */
static unsigned class_from(const struct depot *depot, unsigned size_class)
{
    unsigned word = size_class / 64;
    uint64_t bits = depot->map[word] & (~(uint64_t)0 << size_class % 64);
    while (bits == 0) {
        word = (word + 1) % DEPOT_MAP_WORDS;
        bits = depot->map[word];
    }
    return word * 64 + lowest_bit(bits);
}

size_t depot_take_any(struct depot *depot, unsigned *size_class, void **mems,
                      size_t most)
{
    if (depot->blocks == 0) {
        return 0;
    }
    depot->hand = class_from(depot, depot->hand);
    *size_class = depot->hand;
    size_t taken = depot_take(depot, depot->hand, mems, most);
    depot->hand = (depot->hand + 1) % CLASS_COUNT;
    return taken;
}
