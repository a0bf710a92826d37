#include "bins.h"

#include "fatal.h"
#include "owner.h"

/* One bin: the head of its list, and the bit that says that it has any. */
struct bin {
    struct chunk **head;
    struct large_bin place; /* of a large one */
    unsigned exact;         /* of an exact one */
    bool is_exact;
};

static struct bin exact_bin(struct bins *bins, unsigned index)
{
    return (struct bin){
        .head = &bins->exact[index], .exact = index, .is_exact = true};
}

static struct bin large_bin(struct bins *bins, struct large_bin place)
{
    return (struct bin){.head = &bins->large[place.octave][place.sub],
                        .place = place};
}

static struct bin bin_of_size(struct bins *bins, size_t size)
{
    return size_has_exact_bin(size) ? exact_bin(bins, exact_bin_of(size))
                                    : large_bin(bins, large_bin_of(size));
}

static void mark_occupied(struct bins *bins, struct bin bin)
{
    if (bin.is_exact) {
        bins->exact_map |= (uint64_t)1 << bin.exact;
    } else {
        bins->sub_map[bin.place.octave] |= 1u << bin.place.sub;
        bins->octave_map |= 1u << bin.place.octave;
    }
}

static void mark_empty(struct bins *bins, struct bin bin)
{
    if (bin.is_exact) {
        bins->exact_map &= ~((uint64_t)1 << bin.exact);
        return;
    }
    bins->sub_map[bin.place.octave] &= ~(1u << bin.place.sub);
    if (bins->sub_map[bin.place.octave] == 0) {
        bins->octave_map &= ~(1u << bin.place.octave);
    }
}

_Noreturn PTM_COLD static void list_is_broken(const struct bins *bins,
                                              const struct chunk *chunk)
{
    fatal_crime(&(struct crime){
        .where = "heap",
        .what = "broken free list",
        .address = chunk2mem(chunk),
        .size = usable_size_of(chunk_size(chunk)),
        .arena = bins->owner,
    });
}

static bool is_free_chunk(const struct chunk *chunk)
{
    return !PTM_SEALED || (chunk_is_sealed(chunk) && chunk_is_free(chunk));
}

void bins_insert(struct bins *bins, struct chunk *chunk)
{
    struct bin bin = bin_of_size(bins, chunk_size(chunk));
    struct chunk *first = *bin.head;
    ptm_assert(chunk_is_free(chunk) && chunk_footer_matches(chunk));
    if (first == NULL) {
        mark_occupied(bins, bin);
    } else {
        if (PTM_SEALED && unlikely(!is_free_chunk(first) ||
                                   chunk_previous_free(first) != NULL)) {
            list_is_broken(bins, first);
        }
        link_write(&first->previous_free, chunk);
    }
    link_write(&chunk->next_free, first);
    link_write(&chunk->previous_free, NULL);
    *bin.head = chunk;
    bins->bytes += chunk_size(chunk);
    bins->count++;
}

/* A smashed link is most often no address at all; it is read through only if
 * it leads into a heap of this arena, all of which may be read. */
static bool link_may_be_followed(const struct bins *bins,
                                 const struct chunk *link)
{
    return link == NULL || ((uintptr_t)link % MALLOC_ALIGNMENT == 0 &&
                            owner_of(link) == bins->owner);
}

/* Nothing there, or a free chunk of this arena. */
static bool link_is_sound(const struct bins *bins, const struct chunk *link)
{
    return !PTM_SEALED || link == NULL ||
           (link_may_be_followed(bins, link) && is_free_chunk(link));
}

static bool links_agree(const struct chunk *chunk, const struct chunk *next,
                        const struct chunk *previous)
{
    return (next == NULL || chunk_previous_free(next) == chunk) &&
           (previous == NULL || chunk_next_free(previous) == chunk);
}

static void remove_from(struct bins *bins, struct bin bin, struct chunk *chunk)
{
    struct chunk *next = chunk_next_free(chunk);
    struct chunk *previous = chunk_previous_free(chunk);
    bool is_first = *bin.head == chunk;
    if (PTM_SEALED &&
        unlikely(!is_free_chunk(chunk) || is_first != (previous == NULL) ||
                 !link_is_sound(bins, next) || !link_is_sound(bins, previous) ||
                 !links_agree(chunk, next, previous))) {
        list_is_broken(bins, chunk);
    }
    if (next != NULL) {
        link_write(&next->previous_free, previous);
    }
    if (previous != NULL) {
        link_write(&previous->next_free, next);
    } else {
        *bin.head = next;
        if (next == NULL) {
            mark_empty(bins, bin);
        }
    }
    bins->bytes -= chunk_size(chunk);
    bins->count--;
}

struct chunk *bins_next(const struct bins *bins, const struct chunk *chunk)
{
    struct chunk *next = chunk_next_free(chunk);
    if (PTM_SEALED && unlikely(!link_is_sound(bins, next) ||
                               !links_agree(chunk, next, NULL))) {
        list_is_broken(bins, chunk);
    }
    return next;
}

void bins_remove(struct bins *bins, struct chunk *chunk)
{
    remove_from(bins, bin_of_size(bins, chunk_size(chunk)), chunk);
}

static struct chunk *take_first(struct bins *bins, struct bin bin)
{
    struct chunk *chunk = *bin.head;
    remove_from(bins, bin, chunk);
    return chunk;
}

static bool find_large(const struct bins *bins, struct large_bin *place)
{
    if (place->octave >= OCTAVES) {
        return false;
    }
    uint32_t subs = bins->sub_map[place->octave] & (~0u << place->sub);
    if (subs == 0) {
        uint32_t octaves = bins->octave_map & (~1u << place->octave);
        if (octaves == 0) {
            return false;
        }
        place->octave = lowest_bit(octaves);
        subs = bins->sub_map[place->octave];
    }
    place->sub = lowest_bit(subs);
    return true;
}

static struct chunk *take_large_from(struct bins *bins, struct large_bin place)
{
    return find_large(bins, &place) ? take_first(bins, large_bin(bins, place))
                                    : NULL;
}

/* The first bin in which every chunk has at least `size` bytes. */
static struct large_bin bin_of_at_least(size_t size)
{
    size_t width = (size_t)1 << (highest_bit(size) - SUB_BIN_SHIFT);
    return large_bin_of(round_up(size, width));
}

/* Whether a chunk whose mem is a multiple of `alignment` can be cut out of this
 * one. Any address is a multiple of MALLOC_ALIGNMENT. */
static bool has_room(const struct chunk *chunk, size_t size, size_t alignment)
{
    uintptr_t mem = (uintptr_t)chunk2mem(chunk);
    uintptr_t end = mem + chunk_size(chunk);
    uintptr_t aligned = round_up(mem, alignment);
    if (aligned != mem && aligned - mem < MIN_CHUNK_SIZE) {
        aligned += alignment;
    }
    return aligned <= end && end - aligned >= size;
}

/* Looks at the first few chunks of a bin. */
static struct chunk *peek(struct bins *bins, struct bin bin, size_t size,
                          size_t alignment)
{
    struct chunk *chunk = *bin.head;
    for (int i = 0; i < BIN_PEEK_LIMIT && chunk != NULL; i++) {
        if (has_room(chunk, size, alignment)) {
            remove_from(bins, bin, chunk);
            return chunk;
        }
        struct chunk *next = chunk_next_free(chunk);
        if (unlikely(!link_is_sound(bins, next))) {
            list_is_broken(bins, chunk);
        }
        chunk = next;
    }
    return NULL;
}

static struct large_bin following(struct large_bin place)
{
    return place.sub + 1 < SUB_BINS
               ? (struct large_bin){place.octave, place.sub + 1}
               : (struct large_bin){place.octave + 1, 0};
}

struct chunk *bins_take_aligned(struct bins *bins, size_t size,
                                size_t alignment)
{
    struct large_bin place = large_bin_of(size);
    for (int i = 0; i < BIN_ALIGNED_LIMIT && find_large(bins, &place); i++) {
        struct chunk *chunk =
            peek(bins, large_bin(bins, place), size, alignment);
        if (chunk != NULL) {
            return chunk;
        }
        place = following(place);
    }
    return NULL;
}

struct chunk *bins_take(struct bins *bins, size_t size)
{
    if (size_has_exact_bin(size)) {
        uint64_t map = bins->exact_map & (~(uint64_t)0 << exact_bin_of(size));
        if (map != 0) {
            return take_first(bins, exact_bin(bins, lowest_bit(map)));
        }
        return take_large_from(bins, (struct large_bin){0, 0});
    }
    struct chunk *chunk =
        peek(bins, bin_of_size(bins, size), size, MALLOC_ALIGNMENT);
    return chunk != NULL ? chunk : take_large_from(bins, bin_of_at_least(size));
}

unsigned bins_position_of(size_t size)
{
    if (size_has_exact_bin(size)) {
        return exact_bin_of(size);
    }
    struct large_bin place = large_bin_of(size);
    return EXACT_BINS + place.octave * SUB_BINS + place.sub;
}

/* The inverse: the place of a large bin's position. */
static struct large_bin large_place(unsigned position)
{
    unsigned large = position - EXACT_BINS;
    return (struct large_bin){large / SUB_BINS, large % SUB_BINS};
}

struct chunk *bins_first_from(const struct bins *bins, unsigned *position)
{
    for (; *position < BIN_POSITIONS; ++*position) {
        struct large_bin place = large_place(*position);
        struct chunk *first = *position < EXACT_BINS
                                  ? bins->exact[*position]
                                  : bins->large[place.octave][place.sub];
        if (first != NULL) {
            return first;
        }
    }
    return NULL;
}

bool bins_map_says(const struct bins *bins, unsigned position)
{
    if (position < EXACT_BINS) {
        return (bins->exact_map >> position & 1) != 0;
    }
    struct large_bin place = large_place(position);
    return (bins->sub_map[place.octave] >> place.sub & 1) != 0;
}

bool bins_maps_agree(const struct bins *bins)
{
    for (unsigned octave = 0; octave < OCTAVES; octave++) {
        bool has_chunks = bins->sub_map[octave] != 0;
        if (has_chunks != ((bins->octave_map >> octave & 1) != 0)) {
            return false;
        }
    }
    return true;
}
