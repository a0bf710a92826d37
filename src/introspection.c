#include "introspection.h"

#include "arenas.h"
#include "guard.h"
#include "harden.h"
#include "mapped.h"
#include "options.h"
#include "owner.h"
#include "parcel.h"
#include "profile.h"
#include "recent.h"
#include "tcache.h"
#include "zero.h"

/* What all files may see; those with variables of their own describe these
 * themselves. */
static const struct description shared_description[] = {
    DESCRIBE_ADDRESS("keys", &seal_keys),
    DESCRIBE_PART("keys.address", struct secret_keys, address),
    DESCRIBE_PART("keys.word", struct secret_keys, word),
    DESCRIBE_PART("keys.cached", struct secret_keys, cached),
    DESCRIBE_PART("keys.freed", struct secret_keys, freed),
    DESCRIBE_PART("keys.object", struct secret_keys, object),

    DESCRIBE_ADDRESS("owners", heap_tag),
    DESCRIBE_NUMBER("OWNERS", OWNER_SLOTS),
    DESCRIBE_NUMBER("HEAP_SHIFT", HEAP_MAX_SHIFT),

    DESCRIBE_PART("heap.arena", struct heap, arena),
    DESCRIBE_PART("heap.reserved", struct heap, reserved),
    DESCRIBE_PART("heap.committed", struct heap, committed),
    DESCRIBE_PART("heap.touched", struct heap, touched),
    DESCRIBE_PART("heap.page_class", struct heap, page_class),
    DESCRIBE_PART("heap.runs", struct heap, runs), /* one for each RUN bytes */
    DESCRIBE_NUMBER("HEAP_FIRST_CHUNK", HEAP_HEADER_SIZE),

    DESCRIBE_NUMBER("RUN", RUN_SIZE),
    DESCRIBE_NUMBER("RUN_STEP", MALLOC_ALIGNMENT), /* of classes of runs */
    DESCRIBE_NUMBER("RUN_WATCHED", RUN_WATCHED),   /* no part of the class */
    DESCRIBE_NUMBER("RUN_SPAN", RUN_SPAN_MAX),
    DESCRIBE_NUMBER("run.size", sizeof(struct run)),
    DESCRIBE_PART("run.start", struct run, start),
    DESCRIBE_PART("run.objects", struct run, objects),
    DESCRIBE_PART("run.free", struct run, free),
    DESCRIBE_PART("run.at", struct run, at),
    DESCRIBE_PART("run.pages", struct run, pages),
    DESCRIBE_PART("run.used", struct run, used),
    DESCRIBE_PART("run.dirty", struct run, dirty),
    DESCRIBE_PART("run.free_map", struct run, free_map),

    DESCRIBE_NUMBER("chunk.footer", 0),
    DESCRIBE_NUMBER("chunk.word", CHUNK_WORD_OFFSET),
    DESCRIBE_NUMBER("chunk.next_free", CHUNK_HEADER_SIZE),
    DESCRIBE_NUMBER("CHUNK_HEADER", CHUNK_HEADER_SIZE),
    DESCRIBE_NUMBER("CHUNK_MIN", MIN_CHUNK_SIZE),
    DESCRIBE_NUMBER("CHUNK_STEP", MALLOC_ALIGNMENT),
    DESCRIBE_NUMBER("CHUNK_FLAGS", CHUNK_FLAGS),
    DESCRIBE_NUMBER("CHUNK_PREV_INUSE", CHUNK_PREV_INUSE),
    DESCRIBE_NUMBER("CHUNK_IS_MMAPPED", CHUNK_IS_MMAPPED),
    DESCRIBE_NUMBER("CHUNK_NON_MAIN", CHUNK_NON_MAIN_ARENA),
    DESCRIBE_NUMBER("CHUNK_IS_FREE", CHUNK_IS_FREE),

    DESCRIBE_ADDRESS("main_arena", &main_arena),
    DESCRIBE_ADDRESS("arenas", arena_table),
    DESCRIBE_NUMBER("ARENAS", ARENAS_MAX + 1),
    DESCRIBE_NUMBER("arena.size", sizeof(struct arena)),
    DESCRIBE_PART("arena.number", struct arena, number),
    DESCRIBE_PART("arena.flags", struct arena, flags),
    DESCRIBE_PART("arena.top", struct arena, top),
    DESCRIBE_PART("arena.heap_count", struct arena, heap_count),
    DESCRIBE_PART("arena.system", struct arena, system_bytes),
    DESCRIBE_PART("arena.system_most", struct arena, max_system_bytes),
    DESCRIBE_PART("arena.free_bytes", struct arena, bins.bytes),
    DESCRIBE_PART("arena.free_count", struct arena, bins.count),
    DESCRIBE_PART("arena.full", struct arena, depot.full),
    DESCRIBE_PART("arena.spare", struct arena, depot.spare),
    DESCRIBE_PART("arena.arrivals", struct arena, arrivals),
    DESCRIBE_PART("arena.inbox", struct arena, inbox.head),
    DESCRIBE_PART("arena.threads", struct arena, attached),
    DESCRIBE_PART("arena.abandoned", struct arena, is_abandoned),
    DESCRIBE_NUMBER("INBOX_COUNT_MASK", INBOX_COUNT_MASK),

    DESCRIBE_NUMBER("CLASSES", CLASS_COUNT),
    DESCRIBE_NUMBER("magazine.size", sizeof(struct magazine)),
    DESCRIBE_PART("magazine.next", struct magazine, next),
    DESCRIBE_PART("magazine.count", struct magazine, count),
    DESCRIBE_PART("magazine.blocks", struct magazine, mems),

    DESCRIBE_NUMBER("parcel.size", sizeof(struct parcel)),
    DESCRIBE_PART("parcel.next", struct parcel, next),
    DESCRIBE_PART("parcel.count", struct parcel, count),
    DESCRIBE_PART("parcel.entries", struct parcel, entries),
    DESCRIBE_NUMBER("PARCEL_CLASS_SHIFT", PARCEL_CLASS_SHIFT),

    DESCRIBE_ADDRESS("zero_region", &zero_region), /* no memory is there */
    DESCRIBE_NUMBER("ZERO_REGION", ZERO_REGION),

    DESCRIBE_ADDRESS("profile_part", profile_description), /* a list more */

    DESCRIBE_ADDRESS("options", option_values),
    DESCRIBE_NUMBER("OPTIONS", OPTION_COUNT),
    {.name = ""},
};

PTM_EXPORT const struct introspection ptm_introspection
    __attribute__((aligned(64))) = {
        .magic = "ptm:introspect\n",
        .self = &ptm_introspection,
        .version = INTROSPECTION_VERSION,
        .entry_size = sizeof(struct description),
        .parts = {shared_description, tcache_description, mapped_description,
                  recent_description, parcel_description, guard_description,
                  harden_description},
};
