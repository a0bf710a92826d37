/*
 * layout.h - where a process has its allocator's data, as the allocator itself
 * describes it (src/introspection.h): addresses, offsets, sizes, constants.
 *
 * The names are the agreement between the library and this tool. One that the
 * library does not have is absent (UINT64_MAX); those that nothing can be read
 * without are required.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <string.h>

#include "memory.h"

/* One a line. clang-format knows no other way than to pack them. */
/* clang-format off */
#define LAYOUT_REQUIRED(name) \
    name(keys, "keys") \
    name(keys_address, "keys.address") \
    name(keys_word, "keys.word") \
    name(keys_cached, "keys.cached") \
    name(keys_freed, "keys.freed") \
    name(owners, "owners") \
    name(owner_count, "OWNERS") \
    name(heap_shift, "HEAP_SHIFT") \
    name(heap_arena, "heap.arena") \
    name(heap_reserved, "heap.reserved") \
    name(heap_committed, "heap.committed") \
    name(heap_first_chunk, "HEAP_FIRST_CHUNK") \
    name(chunk_word, "chunk.word") \
    name(chunk_header, "CHUNK_HEADER") \
    name(chunk_min, "CHUNK_MIN") \
    name(chunk_step, "CHUNK_STEP") \
    name(chunk_flags, "CHUNK_FLAGS") \
    name(chunk_prev_inuse, "CHUNK_PREV_INUSE") \
    name(chunk_is_mmapped, "CHUNK_IS_MMAPPED") \
    name(chunk_non_main, "CHUNK_NON_MAIN") \
    name(chunk_is_free, "CHUNK_IS_FREE") \
    name(main_arena, "main_arena") \
    name(arenas, "arenas") \
    name(arena_count, "ARENAS") \
    name(arena_size, "arena.size") \
    name(arena_flags, "arena.flags") \
    name(arena_top, "arena.top") \
    name(arena_threads, "arena.threads")

#define LAYOUT_OPTIONAL(name) \
    name(arena_system, "arena.system") \
    name(arena_full, "arena.full") \
    name(arena_spare, "arena.spare") \
    name(arena_arrivals, "arena.arrivals") \
    name(arena_inbox, "arena.inbox") \
    name(inbox_count_mask, "INBOX_COUNT_MASK") \
    name(class_count, "CLASSES") \
    name(magazine_size, "magazine.size") \
    name(magazine_next, "magazine.next") \
    name(magazine_count, "magazine.count") \
    name(magazine_blocks, "magazine.blocks") \
    name(parcel_size, "parcel.size") \
    name(parcel_next, "parcel.next") \
    name(parcel_count, "parcel.count") \
    name(parcel_entries, "parcel.entries") \
    name(parcel_class_shift, "PARCEL_CLASS_SHIFT") \
    name(pool, "pool") \
    name(pool_count_bits, "POOL_COUNT_BITS") \
    name(pool_shift, "POOL_SHIFT") \
    name(caches, "caches") \
    name(cache_count, "CACHES") \
    name(spares, "spares") \
    name(spare_count, "SPARES") \
    name(cache_map, "CACHE_MAP") \
    name(cache_top, "cache.top_place") \
    name(cache_base, "cache.base_place") \
    name(cache_thread, "cache.thread") \
    name(cache_outboxes, "cache.outboxes") \
    name(outbox_count, "OUTBOXES") \
    name(outbox_size, "outbox.size") \
    name(outbox_next, "outbox.next") \
    name(mapped, "mapped") \
    name(mapped_array, "mapped.array") \
    name(first_slots, "first_slots") \
    name(slots_count, "slots.count") \
    name(slots_first, "slots.first") \
    name(slot_size, "slot.size") \
    name(slot_key, "slot.key") \
    name(slot_length, "slot.length") \
    name(slot_state, "SLOT_STATE") \
    name(slot_gone, "SLOT_GONE") \
    name(slot_kept, "SLOT_KEPT") \
    name(recent, "recent") \
    name(recent_count, "recent.count") \
    name(recent_kept, "recent.kept") \
    name(recent_most, "RECENT") \
    name(kept_size, "kept.size") \
    name(kept_start, "kept.start") \
    name(kept_length, "kept.length") \
    name(keys_object, "keys.object") \
    name(page_class, "heap.page_class") \
    name(heap_runs, "heap.runs") \
    name(run_bytes, "RUN") \
    name(run_step, "RUN_STEP") \
    name(run_watched, "RUN_WATCHED") \
    name(run_span, "RUN_SPAN") \
    name(run_size, "run.size") \
    name(run_start, "run.start") \
    name(run_objects, "run.objects") \
    name(run_pages, "run.pages") \
    name(run_free_map, "run.free_map") \
    name(guard_pool, "guard_pool") \
    name(guard_slots, "guard_slots") \
    name(guard_count, "GUARD_SLOTS") \
    name(guard_size, "guard_slot.size") \
    name(guard_state, "guard_slot.state") \
    name(guard_bytes, "guard_slot.bytes") \
    name(guard_mem, "guard_slot.mem") \
    name(guard_live, "GUARD_LIVE") \
    name(quarantines, "quarantines") \
    name(quarantines_count, "QUARANTINES") \
    name(quarantine_size, "quarantine.size") \
    name(quarantine_first, "quarantine.first") \
    name(quarantine_count, "quarantine.count") \
    name(quarantine_blocks, "quarantine.blocks") \
    name(quarantine_most, "QUARANTINE")

#define LAYOUT_PROFILE(name) \
    name(profile_part, "profile_part") \
    name(profile_lost, "profile_lost") \
    name(profile_buckets, "profile_buckets") \
    name(profile_buckets_size, "PROFILE_BUCKETS_SIZE") \
    name(profile, "profile") \
    name(profile_wanted, "profile.wanted") \
    name(profile_mean, "profile.mean") \
    name(profile_gate, "profile_gate") \
    name(profile_gate_size, "PROFILE_GATE") \
    name(samples, "samples") \
    name(stacks, "stacks") \
    name(table_start, "table.start") \
    name(table_used, "table.used") \
    name(sample_size, "sample.size") \
    name(sample_mem, "sample.mem") \
    name(sample_weight, "sample.weight") \
    name(sample_stack, "sample.stack") \
    name(stack_size, "stack.size") \
    name(stack_depth, "stack.depth") \
    name(stack_allocations, "stack.allocations") \
    name(stack_allocated, "stack.allocated") \
    name(stack_live_count, "stack.live_count") \
    name(stack_live, "stack.live") \
    name(stack_frames, "stack.frames")
/* clang-format on */

#define LAYOUT_FIELD(field, text) uint64_t field;

struct layout {
    LAYOUT_REQUIRED(LAYOUT_FIELD)
    LAYOUT_OPTIONAL(LAYOUT_FIELD)
    LAYOUT_PROFILE(LAYOUT_FIELD)
    uint64_t at; /* of the description itself */
    uint32_t version;
    /* Values of the keys. */
    uint64_t key_address, key_word, key_object;
    uint32_t key_cached, key_freed;
};

#define LAYOUT_ABSENT UINT64_MAX

static inline bool layout_has(uint64_t value)
{
    return value != LAYOUT_ABSENT;
}

/* Fills *layout; or says what is wrong, "it does not run under ptm" as a
 * rule. */
const char *layout_find(struct layout *layout, const struct memory *memory);

/* The half word at this offset of what was read. */
static inline uint32_t layout_half_at(const unsigned char *bytes, uint64_t at)
{
    uint32_t half;

    memcpy(&half, bytes + at, sizeof half);
    return half;
}

/* What stands before a chunk's size: the seal that its word should have. */
static inline uint32_t layout_seal(const struct layout *layout, uint64_t chunk,
                                   uint32_t low)
{
    unsigned __int128 product =
        (unsigned __int128)(chunk ^ layout->key_address) *
        ((low | (uint32_t)layout->chunk_prev_inuse) ^ layout->key_word);

    return (uint32_t)product ^ (uint32_t)(product >> 64);
}

#endif
