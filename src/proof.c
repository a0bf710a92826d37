#include "proof.h"

#include "fatal.h"
#include "owner.h"

void die_of_chunk(const struct arena *arena, const struct chunk *chunk,
                  const char *where, const char *what)
{
    fatal_crime(&(struct crime){
        .where = where,
        .what = what,
        .address = chunk2mem(chunk),
        .size = usable_size_of(chunk_size(chunk)),
        .arena = arena->number,
    });
}

_Noreturn PTM_COLD static void die_of_word(const struct arena *arena,
                                           const struct chunk *chunk,
                                           const char *where)
{
    fatal_crime(&(struct crime){
        .where = where,
        .what = "destroyed size word",
        .address = chunk2mem(chunk),
        .word = chunk_word(chunk),
        .has_word = true,
        .arena = arena->number,
    });
}

_Noreturn PTM_COLD static void die_of_freed(const struct arena *arena,
                                            const struct chunk *chunk,
                                            const char *where)
{
    bool again = where == where_free;
    die_of_chunk(arena, chunk, where,
                 again ? "double free" : "use of a freed block");
}

_Noreturn PTM_COLD void die_of_object(const struct arena *arena,
                                      unsigned size_class, const void *mem,
                                      const char *where, const char *what)
{
    fatal_crime(&(struct crime){
        .where = where,
        .what = what,
        .address = mem,
        .size = class_size(size_class),
        .arena = arena->number,
    });
}

/* Whether a chunk with this low half can be here in the arena. */
static bool low_fits(const struct arena *arena, const struct chunk *chunk,
                     uint32_t low)
{
    const struct heap *heap = heap_for_ptr(chunk);
    size_t offset = (uintptr_t)chunk - (uintptr_t)heap;
    return low_is_plausible(low, arena->flags) &&
           word_size(low) <= heap_committed(heap) - offset;
}

bool chunk_looks_in_use(const struct arena *arena, const struct chunk *chunk)
{
    uint32_t low = chunk_low(chunk);
    return !PTM_SEALED ||
           (chunk_seal(chunk) == chunk_seal_in_use(chunk, low) &&
            (low & CHUNK_IS_FREE) == 0 && low_fits(arena, chunk, low));
}

_Noreturn PTM_COLD static void die_of_state(const struct arena *arena,
                                            const struct chunk *chunk,
                                            const char *where)
{
    bool is_ours = low_fits(arena, chunk, chunk_low(chunk)) &&
                   (chunk_is_cached(chunk) || chunk_is_sealed(chunk));
    if (is_ours) {
        die_of_freed(arena, chunk, where);
    }
    die_of_word(arena, chunk, where);
}

void chunk_verify_word(const struct arena *arena, const struct chunk *chunk,
                       const char *where)
{
    if (unlikely(!chunk_looks_in_use(arena, chunk))) {
        die_of_state(arena, chunk, where);
    }
}

void object_verify(const struct arena *arena, unsigned size_class,
                   const void *mem, const char *where)
{
    if (!PTM_SEALED) {
        return;
    }
    if (unlikely(!run_has_object_at(size_class, mem))) {
        die_of_object(arena, size_class, mem, where,
                      "not the start of a block");
    }
    if (unlikely(object_is_marked(mem) ||
                 run_has_free(heap_run_of(mem), size_class, mem))) {
        die_of_object(arena, size_class, mem, where,
                      where == where_free ? "double free"
                                          : "use of a freed block");
    }
}

void object_verify_cached(const struct arena *arena, const void *mem)
{
    if (!PTM_SEALED) {
        return;
    }
    if (unlikely(!object_is_marked(mem))) {
        die_of_object(arena, block_run_class(mem), mem, "malloc()",
                      "block written to after its free");
    }
}

/* The header behind a chunk: that of a chunk in use, of a free one, of top,
 * or a fence. It says, as any header does, that what is before it is in use.
 * Its owner may be moving it to or from a cache meanwhile: either seal will
 * do. */
static bool next_header_is_sound(const struct arena *arena,
                                 const struct chunk *next)
{
    if (!PTM_SEALED) {
        return true;
    }
    const struct heap *heap = heap_for_ptr(next);
    size_t room = (uintptr_t)heap_end(heap) - (uintptr_t)next;
    uint32_t low = chunk_low(next);
    uint32_t difference = chunk_seal(next) ^ chunk_seal_for(next, low);
    return (difference == 0 || difference == seal_keys.cached) &&
           (low & CHUNK_PREV_INUSE) != 0 &&
           (low & (CHUNK_IS_MMAPPED | CHUNK_NON_MAIN_ARENA)) == arena->flags &&
           word_size(low) >= CHUNK_HEADER_SIZE && word_size(low) <= room;
}

bool chunk_next_looks_sound(const struct arena *arena,
                            const struct chunk *chunk)
{
    const struct chunk *next = chunk_next(chunk);
    return next != heap_end(heap_for_ptr(chunk)) &&
           next_header_is_sound(arena, next);
}

void chunk_verify_next(const struct arena *arena, const struct chunk *chunk,
                       const char *where)
{
    if (unlikely(!next_header_is_sound(arena, chunk_next(chunk)))) {
        die_of_chunk(arena, chunk, where,
                     "destroyed size word after the block");
    }
}

void chunk_verify(struct arena *arena, const struct chunk *chunk,
                  const char *where)
{
    chunk_verify_word(arena, chunk, where);
    if (unlikely(chunk_next(chunk) == heap_end(heap_for_ptr(chunk)))) {
        /* Only top and a fence reach to the end of their heap. */
        die_of_word(arena, chunk, where);
    }
    chunk_verify_next(arena, chunk, where);
}

struct chunk *chunk_verified_previous(const struct arena *arena,
                                      const struct chunk *chunk)
{
    if (!PTM_SEALED) {
        return chunk_previous(chunk);
    }
    const struct heap *heap = heap_for_ptr(chunk);
    size_t room = (uintptr_t)chunk - (uintptr_t)heap_first_chunk(heap);
    size_t size = chunk->prev_size;
    if (unlikely(size > room || size < MIN_CHUNK_SIZE ||
                 size % MALLOC_ALIGNMENT != 0)) {
        die_of_chunk(arena, chunk, "heap", "destroyed footer");
    }
    struct chunk *previous = chunk_previous(chunk);
    uint32_t low = chunk_low(previous);
    if (unlikely(!chunk_is_sealed(previous) || !(low & CHUNK_IS_FREE) ||
                 !low_is_plausible(low, arena->flags) ||
                 word_size(low) != size)) {
        die_of_chunk(arena, chunk, "heap", "destroyed footer");
    }
    return previous;
}

void chunk_verify_top(const struct arena *arena)
{
    if (!PTM_SEALED) {
        return;
    }
    const struct chunk *top = arena->top;
    size_t size = (uintptr_t)heap_end(heap_for_ptr(top)) - (uintptr_t)top;
    if (unlikely(!chunk_is_sealed(top) || !chunk_is_free(top) ||
                 chunk_size(top) != size)) {
        die_of_word(arena, top, "heap");
    }
}

void chunk_verify_free(const struct arena *arena, const struct chunk *chunk)
{
    if (!PTM_SEALED) {
        return;
    }
    if (unlikely(!chunk_is_sealed(chunk) || !chunk_is_free(chunk))) {
        die_of_word(arena, chunk, "heap");
    }
}

bool chunk_looks_cached(const struct arena *arena, const struct chunk *chunk)
{
    uint32_t low = chunk_low(chunk);
    const struct heap *heap = heap_for_ptr(chunk);
    size_t offset = (uintptr_t)chunk - (uintptr_t)heap;
    uint32_t seal = chunk_seal_for(chunk, low) ^ seal_keys.cached;
    return !PTM_SEALED ||
           (chunk_seal(chunk) == seal && low_is_plausible(low, arena->flags) &&
            word_size(low) < heap_committed(heap) - offset);
}

/* A CACHED block is believed as little as one that the program hands in. */
void chunk_verify_cached(const struct arena *arena, const struct chunk *chunk)
{
    if (unlikely(!chunk_looks_cached(arena, chunk))) {
        die_of_word(arena, chunk, "heap");
    }
}

void object_verify_run(const struct arena *arena, unsigned size_class,
                       const void *mem, const char *where)
{
    if (unlikely(owner_of(mem) != arena->number ||
                 block_run_class(mem) != size_class)) {
        die_of_object(arena, size_class, mem, where, "double free");
    }
}
