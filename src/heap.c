#include "heap.h"

#include "fatal.h"
#include "limit.h"
#include "os.h"
#include "owner.h"
#include "probes.h"
#include "tags.h"

enum {
    /* Tries at aligned addresses below a place that the kernel liked. */
    PLACE_TRIES = 64,
};

/* `next_place` is where the next heap goes if that is free: below the last
 * one, as the kernel itself places mappings. Only a hint, hence relaxed. */
static struct {
    uintptr_t next_place;
    size_t count;
    size_t reserve_limit; /* bytes one heap reserves at first; 0: not known */
} places;

static size_t reserve_limit(void)
{
    size_t limit = __atomic_load_n(&places.reserve_limit, __ATOMIC_RELAXED);
    if (limit == 0) {
        size_t share = os_address_space_limit() / ADDRESS_SPACE_SHARE;
        share = max_size(round_down(share, HEAP_MIN_RESERVE), HEAP_MIN_RESERVE);
        limit = min_size(share, HEAP_MAX_SIZE);
        __atomic_store_n(&places.reserve_limit, limit, __ATOMIC_RELAXED);
    }
    return limit;
}

static bool is_in_owner_table(uintptr_t place)
{
    return place >> HEAP_MAX_SHIFT < OWNER_SLOTS;
}

/* Reserves the pages of [aligned, aligned + size) out of a larger
 * reservation, by giving back what is on either side. If the kernel refuses
 * to split the mapping, all of it is given back. */
static void *trim_to_alignment(char *whole, size_t whole_size, size_t size)
{
    char *aligned = (char *)round_up((uintptr_t)whole, HEAP_MAX_SIZE);
    size_t before = (size_t)(aligned - whole);
    size_t after = whole_size - before - size;
    if ((before > 0 && !os_unmap(whole, before))) {
        os_unmap(whole, whole_size);
        return NULL;
    }
    if (after > 0 && !os_unmap(aligned + size, after)) {
        os_unmap(aligned, size + after);
        return NULL;
    }
    return aligned;
}

static void *reserve_with_slack(size_t size)
{
    size_t whole_size = size + HEAP_MAX_SIZE;
    char *whole = os_reserve(whole_size);
    return whole != NULL ? trim_to_alignment(whole, whole_size, size) : NULL;
}

/* Needs no address space beyond `size`: asks the kernel where it would put so
 * much, and tries the aligned addresses below that. Where it refuses it
 * anywhere, no address is tried. */
static void *reserve_below_a_probe(size_t size)
{
    void *probe = os_reserve(size);
    if (probe == NULL) {
        return NULL;
    }
    os_unmap(probe, size);
    uintptr_t place = round_down((uintptr_t)probe, HEAP_MAX_SIZE);
    for (int i = 0; i < PLACE_TRIES && place >= HEAP_MAX_SIZE; i++) {
        if (os_reserve_at((void *)place, size)) {
            return (void *)place;
        }
        place -= HEAP_MAX_SIZE;
    }
    return NULL;
}

static void *reserve_aligned(size_t size)
{
    uintptr_t place = __atomic_load_n(&places.next_place, __ATOMIC_RELAXED);
    if (place != 0 && os_reserve_at((void *)place, size)) {
        return (void *)place;
    }
    void *heap = reserve_with_slack(size);
    return heap != NULL ? heap : reserve_below_a_probe(size);
}

/* Halves what it asks for until it is granted or would not serve `need`. */
static void *reserve_heap(size_t need, size_t *reserved)
{
    size_t least = max_size(round_up(need, os_page_size()), HEAP_MIN_RESERVE);
    size_t size = max_size(least, reserve_limit());
    for (;;) {
        void *heap = reserve_aligned(size);
        if (heap != NULL && !is_in_owner_table((uintptr_t)heap)) {
            os_unmap(heap, size);
            return NULL;
        }
        if (heap != NULL || size == least) {
            *reserved = size;
            return heap;
        }
        size = max_size(round_down(size / 2, os_page_size()), least);
    }
}

/* Commits as many of `wanted` bytes as the reservation has, or only `need`.
 * Returns how many were committed; 0 is failure. */
static size_t commit_behind(char *start, size_t room, size_t need,
                            size_t wanted)
{
    size_t page = os_page_size();
    need = round_up(need, page);
    wanted = min_size(round_up(wanted, page), room);
    if (need > room) {
        return 0;
    }
    size_t got = wanted > need && os_commit(start, wanted) ? wanted
                 : os_commit(start, need)                  ? need
                                                           : 0;
    limit_note_growth(got);
    return got;
}

/* All pages that are committed have a tag now, of the arena with this number.
 */
static void tag_pages(struct heap *heap, unsigned number)
{
    size_t from = heap->tagged / RUN_SIZE;
    size_t to = round_up(heap->committed, RUN_SIZE) / RUN_SIZE;
    if (from < to) {
        tags_set((char *)heap + heap->tagged, heap->page_class + from,
                 to - from, tags_owner(number));
        heap->tagged = to * RUN_SIZE;
    }
}

struct heap *heap_create(struct arena *arena, unsigned number, size_t need,
                         size_t wanted)
{
    size_t reserved;
    ptm_assert(need <= HEAP_MAX_SIZE - HEAP_HEADER_SIZE);
    seal_prepare();
    struct heap *heap = reserve_heap(need + HEAP_HEADER_SIZE, &reserved);
    if (heap == NULL) {
        return NULL;
    }
    size_t committed =
        commit_behind((char *)heap, reserved, need + HEAP_HEADER_SIZE, wanted);
    if (committed == 0) {
        os_unmap(heap, reserved);
        return NULL;
    }
    heap->arena = arena;
    heap->next = NULL;
    heap->previous = NULL;
    heap->reserved = reserved;
    heap->committed = committed;
    heap->touched = HEAP_HEADER_SIZE;
    heap->runs = NULL;
    heap->spans = 0;
    heap->runs_used = 0;
    heap->hoped = (struct span_of_pages){0, 0};
    heap->is_plain = false;
    heap->page_class[0] = RUN_WATCHED;
    __atomic_store_n(&places.next_place, (uintptr_t)heap - HEAP_MAX_SIZE,
                     __ATOMIC_RELAXED);
    if (__atomic_fetch_add(&places.count, 1, __ATOMIC_RELAXED) == 0) {
        owner_prepare();
    }
    tags_prepare(heap);
    owner_set(heap, number);
    heap->tagged = 0;
    tag_pages(heap, number);
    PROBE_2(ptm, heap_new, heap, reserved);
    return heap;
}

/* Extends the reservation in place so that `need` more bytes fit. */
static bool reserve_more(struct heap *heap, size_t need)
{
    size_t wanted = round_up(heap->committed + need, HEAP_MIN_RESERVE);
    if (wanted <= heap->reserved) {
        return true;
    }
    if (wanted > HEAP_MAX_SIZE) {
        return false;
    }
    size_t generous = min_size(heap->reserved + reserve_limit(), HEAP_MAX_SIZE);
    char *end = (char *)heap + heap->reserved;
    if (generous > wanted && os_reserve_at(end, generous - heap->reserved)) {
        heap->reserved = generous;
        return true;
    }
    if (os_reserve_at(end, wanted - heap->reserved)) {
        heap->reserved = wanted;
        return true;
    }
    return false;
}

bool heap_grow(struct heap *heap, size_t need, size_t wanted)
{
    if (need > HEAP_MAX_SIZE - heap->committed || !reserve_more(heap, need)) {
        return false;
    }
    size_t added =
        commit_behind((char *)heap + heap->committed,
                      heap->reserved - heap->committed, need, wanted);
    __atomic_store_n(&heap->committed, heap->committed + added,
                     __ATOMIC_RELAXED);
    tag_pages(heap, owner_of(heap));
    return added > 0;
}

size_t heap_shrink(struct heap *heap, const void *end)
{
    size_t keep = round_up((uintptr_t)end - (uintptr_t)heap, os_page_size());
    if (keep >= heap->committed) {
        return 0;
    }
    size_t surplus = heap->committed - keep;
    if (!os_decommit((char *)heap + keep, surplus)) {
        return 0;
    }
    __atomic_store_n(&heap->committed, keep, __ATOMIC_RELAXED);
    /* What was advised of it is forgotten. */
    heap->is_plain = false;
    heap->hoped.to = min_size(heap->hoped.to, keep);
    if (heap->touched > keep) {
        pages_note_returned(
            &heap->pages,
            (struct span_of_pages){keep, round_up(heap->touched, PAGES_SIZE)});
        heap->touched = keep;
    }
    return surplus;
}

void heap_make_common(struct heap *heap)
{
    tags_set(heap, heap->page_class, heap->tagged / RUN_SIZE, TAG_COMMON);
}

void heap_watch_page(struct heap *heap, const void *mem, bool watch)
{
    if (heap_run_class(heap, mem) != 0) {
        run_note_sampled(heap_run_of(mem), watch);
    } else {
        unsigned byte = watch ? RUN_WATCHED : 0;
        __atomic_store_n(&heap->page_class[heap_page_of(mem)], (uint8_t)byte,
                         __ATOMIC_RELAXED);
        tags_set_byte(mem, byte);
    }
}

bool heap_prepare_runs(struct heap *heap)
{
    if (heap->runs == NULL) {
        struct run *runs = os_map(HEAP_PAGES * sizeof *runs);
        __atomic_store_n(&heap->runs, runs, __ATOMIC_RELAXED);
    }
    return heap->runs != NULL;
}

void heap_return_runs(struct heap *heap)
{
    if (heap->spans == 0 && heap->runs_used > 0 &&
        os_purge(heap->runs, round_up(heap->runs_used, os_page_size()))) {
        heap->runs_used = 0;
    }
}

bool heap_destroy(struct heap *heap)
{
    struct run *runs = heap->runs;
    unsigned owner = owner_of(heap);
    size_t tagged = heap->tagged / RUN_SIZE;
    tags_set(heap, heap->page_class, tagged, 0);
    owner_set(heap, 0);
    if (!os_unmap(heap, heap->reserved)) {
        owner_set(heap, owner);
        tags_set(heap, heap->page_class, tagged, tags_owner(owner));
        return false;
    }
    if (runs != NULL) {
        os_unmap(runs, HEAP_PAGES * sizeof *runs);
    }
    __atomic_store_n(&places.next_place, (uintptr_t)heap, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&places.count, 1, __ATOMIC_RELAXED);
    return true;
}

size_t heap_count(void)
{
    return __atomic_load_n(&places.count, __ATOMIC_RELAXED);
}
