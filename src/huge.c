#include "huge.h"

#include "options.h"
#include "os.h"

/* Other kernels' pages make huge ones of other sizes. */
bool huge_is_wanted(void)
{
    return option_get(OPTION_HUGE_PAGES) != 0 && os_page_size() == PAGES_SIZE &&
           os_huge_pages_are_by_advice();
}

static struct span_of_pages region_at(size_t place)
{
    return (struct span_of_pages){place, place + HUGE_PAGE_SIZE};
}

/* To give back what is dirty there must not cost what the huge page saves. */
static bool is_mostly_clean(const struct heap *heap, size_t place)
{
    return heap->touched <= place ||
           pages_count_dirty(&heap->pages, region_at(place)) <=
               HUGE_DIRTY_PAGES;
}

/* The first regions side by side that are worth it; empty if there are none. */
static struct span_of_pages find_regions(const struct heap *heap, size_t from,
                                         size_t to, size_t end)
{
    size_t first = round_up(from + MIN_CHUNK_SIZE, HUGE_PAGE_SIZE);
    struct span_of_pages found = {first, first};
    size_t last =
        min_size(to + MIN_CHUNK_SIZE - 1, end - min_size(end, HUGE_PAGE_SIZE));
    for (size_t at = first; at <= last; at += HUGE_PAGE_SIZE) {
        if (is_mostly_clean(heap, at)) {
            found.to = at + HUGE_PAGE_SIZE;
        } else if (found.from < found.to) {
            break;
        } else {
            found = (struct span_of_pages){found.from + HUGE_PAGE_SIZE,
                                           found.to + HUGE_PAGE_SIZE};
        }
    }
    return found;
}

static bool prepare_heap(struct heap *heap)
{
    if (!heap->is_plain) {
        heap->is_plain = os_avoid_huge_pages(heap, heap->reserved);
    }
    return heap->is_plain;
}

/* What is left of small pages goes, and newer kernels take their table with
 * them: where that stays, no huge page can be. */
static bool clear_regions(struct heap *heap, struct span_of_pages regions)
{
    return heap->touched <= regions.from ||
           os_purge((char *)heap + regions.from, regions.to - regions.from);
}

/* Where that is refused, the kernel may fill these regions some day. */
void huge_end(struct heap *heap)
{
    if (heap->hoped.from < heap->hoped.to) {
        os_avoid_huge_pages((char *)heap + heap->hoped.from,
                            heap->hoped.to - heap->hoped.from);
        heap->hoped = (struct span_of_pages){0, 0};
    }
}

/* How it went; of the whole process. Hints, each for itself: relaxed. */
static struct {
    unsigned slow; /* pages in a row */
    uint64_t rest_until;
} pace;

static bool is_resting(void)
{
    return os_milliseconds() <
           __atomic_load_n(&pace.rest_until, __ATOMIC_RELAXED);
}

static void note_pace(bool was_slow)
{
    unsigned slow = __atomic_load_n(&pace.slow, __ATOMIC_RELAXED) + 1;
    if (was_slow && slow >= HUGE_SLOW_ROW) {
        __atomic_store_n(&pace.rest_until, os_milliseconds() + HUGE_REST,
                         __ATOMIC_RELAXED);
        was_slow = false;
    }
    __atomic_store_n(&pace.slow, was_slow ? slow : 0, __ATOMIC_RELAXED);
}

/* All that is there is zero, and nobody's. */
static void touch_regions(struct heap *heap, struct span_of_pages regions)
{
    for (size_t at = regions.from; at < regions.to && !is_resting();
         at += HUGE_PAGE_SIZE) {
        uint64_t before = os_milliseconds();
        *(volatile uint64_t *)((uintptr_t)heap + at) = 0;
        note_pace(os_milliseconds() != before);
    }
}

/* What the kernel refuses is asked for again at the next region. */
size_t huge_expect(struct heap *heap, size_t from, size_t to, size_t end)
{
    struct span_of_pages regions = find_regions(heap, from, to, end);
    size_t size = regions.to - regions.from;
    huge_end(heap);
    if (size == 0 || is_resting() || !prepare_heap(heap) ||
        !clear_regions(heap, regions) ||
        !os_welcome_huge_pages((char *)heap + regions.from, size)) {
        return 0;
    }
    heap->hoped = regions;
    heap_note_touched(heap, (char *)heap + regions.to);
    pages_note_freed_widely(&heap->pages, regions.from, regions.to);
    touch_regions(heap, regions);
    return size;
}
