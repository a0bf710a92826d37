#include "pages.h"

/* The pages of one group that a span has, as a mask. */
struct part {
    size_t group;
    uint64_t mask;
    size_t end; /* the place behind them */
};

static struct part first_part(struct span_of_pages span)
{
    const size_t group_size = PAGES_SIZE * PAGES_OF_GROUP;
    size_t group = span.from / group_size;
    size_t end = min_size(span.to, (group + 1) * group_size);
    size_t first = (span.from >> PAGES_SHIFT) % PAGES_OF_GROUP;
    size_t count = ((end - 1) >> PAGES_SHIFT) - (span.from >> PAGES_SHIFT) + 1;
    return (struct part){
        .group = group,
        .mask = ~(uint64_t)0 >> (PAGES_OF_GROUP - count) << first,
        .end = end,
    };
}

void pages_note_freed_widely(struct pages *pages, size_t from, size_t to)
{
    struct span_of_pages span = {from, to};
    while (span.from < span.to) {
        struct part part = first_part(span);
        pages->marks[part.group].dirty |= part.mask;
        pages->marks[part.group].recent |= part.mask;
        span.from = part.end;
    }
}

void pages_note_returned(struct pages *pages, struct span_of_pages span)
{
    while (span.from < span.to) {
        struct part part = first_part(span);
        struct page_marks *marks = &pages->marks[part.group];
        if ((marks->dirty & part.mask) != 0) {
            marks->dirty &= ~part.mask;
            marks->recent &= ~part.mask;
        }
        span.from = part.end;
    }
}

/* Groups that nothing was written to have no memory, and need none. */
void pages_age(struct pages *pages, size_t end)
{
    struct span_of_pages span = {0, end};
    while (span.from < span.to) {
        struct part part = first_part(span);
        struct page_marks *marks = &pages->marks[part.group];
        if ((marks->recent & part.mask) != 0) {
            marks->recent &= ~part.mask;
        }
        span.from = part.end;
    }
}

size_t pages_next_chunk(const struct pages *pages, size_t place, size_t end)
{
    struct span_of_pages span = {round_down(place, PAGES_SIZE), end};
    while (span.from < span.to) {
        struct part part = first_part(span);
        uint64_t begins = pages->begins[part.group] & part.mask;
        if (begins != 0) {
            size_t page = part.group * PAGES_OF_GROUP + lowest_bit(begins);
            return (page << PAGES_SHIFT) +
                   (size_t)pages->start[page] * MALLOC_ALIGNMENT;
        }
        span.from = part.end;
    }
    return 0;
}

static uint64_t dirty_in(const struct pages *pages, struct part part,
                         bool with_recent)
{
    const struct page_marks *marks = &pages->marks[part.group];
    uint64_t dirty = marks->dirty & part.mask;
    return with_recent ? dirty : dirty & ~marks->recent;
}

static size_t place_of(size_t group, unsigned page)
{
    return (group * PAGES_OF_GROUP + page) << PAGES_SHIFT;
}

/* The first page of the span that is dirty, or is not; span.to if there is
 * none. */
static size_t first_that_is(const struct pages *pages,
                            struct span_of_pages span, bool with_recent,
                            bool is_dirty)
{
    while (span.from < span.to) {
        struct part part = first_part(span);
        uint64_t found = dirty_in(pages, part, with_recent);
        if (!is_dirty) {
            found = ~found & part.mask;
        }
        if (found != 0) {
            return place_of(part.group, (unsigned)__builtin_ctzll(found));
        }
        span.from = part.end;
    }
    return span.to;
}

struct span_of_pages pages_next_dirty(const struct pages *pages,
                                      struct span_of_pages span,
                                      bool with_recent)
{
    span.from = first_that_is(pages, span, with_recent, true);
    span.to = first_that_is(pages, span, with_recent, false);
    return span;
}

size_t pages_count_dirty(const struct pages *pages, struct span_of_pages span)
{
    size_t count = 0;
    while (span.from < span.to) {
        struct part part = first_part(span);
        uint64_t dirty = dirty_in(pages, part, true);
        count += (size_t)__builtin_popcountll(dirty);
        span.from = part.end;
    }
    return count;
}

size_t pages_clean_from(const struct pages *pages, struct span_of_pages span)
{
    while (span.from < span.to) {
        size_t group = (span.to - 1) / (PAGES_SIZE * PAGES_OF_GROUP);
        struct span_of_pages last = {max_size(span.from, place_of(group, 0)),
                                     span.to};
        uint64_t dirty = dirty_in(pages, first_part(last), true);
        if (dirty != 0) {
            return place_of(group, 64u - (unsigned)__builtin_clzll(dirty));
        }
        span.to = last.from;
    }
    return span.from;
}
