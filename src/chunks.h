/*
 * chunks.h - the chunks of an arena: taken out of bins and top, cut, merged.
 *
 *     bins --> | free chunk          |      | chunk |      top          |
 *                  take  |                     free |        | take
 *              | chunk | rest --> bins      | merged into top           |
 *
 * No two free chunks are neighbours: freeing merges with what lies on either
 * side. Whoever needs more than bins and top have makes top grow, or gets a
 * new heap. When memory goes back to the kernel is for sweep.h to say; that
 * caches could give something back is for arena.h.
 *
 * All functions want the arena's lock held. Sizes named `size` are chunk sizes
 * (see size.h).
 */
#ifndef PTM_CHUNKS_H
#define PTM_CHUNKS_H

#include "arena_state.h"

/* A chunk in use of `size` bytes out of a bin, or NULL. zero_from speaks of
 * it. */
struct chunk *chunks_take(struct arena *arena, size_t size);

/* The same from top, which grows as far as it can. */
struct chunk *chunks_take_from_top(struct arena *arena, size_t size);

/* As many times `size` bytes, up to `most`, as the free chunk has that serves;
 * or as top has, as it is. */
struct chunk *chunks_take_many(struct arena *arena, size_t size, size_t most);
struct chunk *chunks_take_many_from_top(struct arena *arena, size_t size,
                                        size_t most);

/* Cuts a chunk in use into CACHED ones of `size` bytes; the last may get a
 * little more. Returns how many. */
size_t chunk_cut_up(struct arena *arena, struct chunk *chunk, size_t size,
                    void **mems);

/* Cuts a chunk whose mem is a multiple of `alignment` out of a chunk in use;
 * the rest of it goes back. */
struct chunk *chunk_cut_aligned(struct arena *arena, struct chunk *chunk,
                                size_t alignment, size_t size);

/* A chunk in use of `size` bytes whose mem is at a multiple of RUN_SIZE, for
 * runs: out of a bin, or NULL; or out of top, which has that and two times
 * RUN_SIZE. */
struct chunk *chunks_take_span(struct arena *arena, size_t size);
struct chunk *chunks_carve_span(struct arena *arena, size_t size);

/* Frees a chunk that chunk_verify has found sound. */
void _int_free(struct arena *arena, struct chunk *chunk);

/* The same for chunks that lie side by side, up to `end`: they are merged and
 * put in a bin once. */
void _int_free_row(struct arena *arena, struct chunk *first,
                   const struct chunk *end);

/* Makes a chunk hold `size` bytes where it is: shrinks it, or takes in the
 * free chunk or the top behind it, of which it may get more: up to `wanted`
 * bytes in all. False when that is not possible: nothing has changed then. */
bool _int_resize(struct arena *arena, struct chunk *chunk, size_t size,
                 size_t wanted);

/* So many bytes more were freed since the arena began. */
void arena_note_freed(struct arena *arena, size_t bytes);

/* Gives back of top all but `pad` bytes. Returns how many that were. */
size_t arena_trim_top(struct arena *arena, size_t pad);

/* Whether a chunk in a bin is all that its heap has, and top is elsewhere. */
bool arena_has_empty_heap(const struct chunk *chunk);

/* Returns such a heap to the kernel; false when that is refused. */
bool arena_release_heap(struct arena *arena, struct chunk *chunk);

/* The arena gets a heap without blocks: all of it is top. */
void chunks_adopt_heap(struct arena *arena, struct heap *heap);

#endif
