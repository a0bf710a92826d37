/*
 * ahead.h - fetching what the next merges will touch.
 *
 * To free a chunk for good is to look at the headers on both sides of it and,
 * where these are free, at their neighbours in the bins: lines that left the
 * processor's caches long ago, each of which is found by way of the one before.
 * A chunk alone waits for them in turn. Of several, those of one kind can be
 * under way together; and who empties a depot knows which chunks come next.
 *
 *     chunk --> header before, and behind --> neighbours in the bin, and
 *                                             the header behind that
 *
 * Nothing is believed here, and nothing is stored: what is read lies in a heap,
 * and what is fetched is only fetched, whatever the address. By the time that
 * a chunk is freed all of it may be different.
 *
 * Threads: whoever calls holds the lock of the arena.
 */
#ifndef PTM_AHEAD_H
#define PTM_AHEAD_H

#include "base.h"
#include "bins.h"
#include "chunk.h"
#include "heap.h"

static inline void fetch_headers_around(const struct chunk *chunk)
{
    __builtin_prefetch(chunk_next(chunk));
    if (!chunk_prev_inuse(chunk)) {
        __builtin_prefetch(chunk_previous(chunk));
    }
}

/* An address of 0 would be looked up for nothing. */
static inline void fetch_link(const struct chunk *link)
{
    if (link != NULL) {
        __builtin_prefetch(link);
    }
}

/* Whoever is merged with this one learns of it. */
static inline void fetch_links_of(const struct heap *heap,
                                  const struct chunk *chunk)
{
    if (heap_contains(heap, chunk) && chunk_is_free(chunk)) {
        fetch_link(chunk_next_free(chunk));
        fetch_link(chunk_previous_free(chunk));
        __builtin_prefetch(chunk_next(chunk));
    }
}

static inline void fetch_links_around(const struct chunk *chunk)
{
    const struct heap *heap = heap_for_ptr(chunk);
    fetch_links_of(heap, chunk_next(chunk));
    if (!chunk_prev_inuse(chunk)) {
        fetch_links_of(heap, chunk_previous(chunk));
    }
}

/* These chunks are about to be freed. */
static inline void fetch_for_merges(void *const *mems, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        __builtin_prefetch(mem2chunk(mems[i]));
    }
    for (size_t i = 0; i < count; i++) {
        fetch_headers_around(mem2chunk(mems[i]));
    }
    for (size_t i = 0; i < count; i++) {
        fetch_links_around(mem2chunk(mems[i]));
    }
}

#endif
