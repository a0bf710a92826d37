/*
 * inspect.c - every kind of damage is planted once, and has to be found, at
 * its place and by its own name; and what is whole has to pass.
 *
 * Each test changes one thing in a sound arena, looks, and undoes the change:
 * the arena must be sound again, so that it was that one thing.
 */
#define _GNU_SOURCE
#include "own_arena.h"

#include "actor.h"
#include "alloc.h"
#include "child.h"
#include "rng.h"
#include "tcache.h"

/*
 * The scene:   | used | small | used | large | used | twin | used | top |
 *
 * small and twin are free and share a bin; large is free and has one of the
 * octaves; between them are chunks in use.
 */
static struct {
    struct chunk *used, *small, *after_small, *large, *after_large, *twin,
        *last;
} scene;

enum {
    SMALL = 96,
    LARGE = 4096,
};

static int set_scene(void **state)
{
    own_begin(state);
    scene.used = take(64);
    scene.small = take(SMALL);
    scene.after_small = take(64);
    scene.large = take(LARGE);
    scene.after_large = take(64);
    scene.twin = take(SMALL);
    scene.last = take(64);
    give(scene.small);
    give(scene.large);
    give(scene.twin);
    return own_is_sound() ? 0 : -1;
}

static int end_scene(void **state)
{
    bool sound = own_is_sound();
    return own_end(state) == 0 && sound ? 0 : -1;
}

static void must_find(const char *what, const void *where)
{
    struct damage damage = {NULL, NULL, 0};
    assert_false(check_arena(&own, &damage));
    assert_string_equal(damage.what, what);
    assert_ptr_equal(damage.address, where);
    assert_int_equal(damage.arena, OWN_NUMBER);
}

static void must_be_sound(void)
{
    assert_true(own_is_sound());
}

/* ---- size words --------------------------------------------------------- */

static void with_word(struct chunk *chunk, uint64_t word, const char *what,
                      const void *where)
{
    uint64_t saved = chunk_word(chunk);
    overwrite_word(chunk, word);
    must_find(what, where);
    overwrite_word(chunk, saved);
    must_be_sound();
}

/* The same with a word that has a seal. */
static void with_head(struct chunk *chunk, size_t size, unsigned flags,
                      const char *what, const void *where)
{
    uint64_t saved = chunk_word(chunk);
    chunk_set_head(chunk, size, flags);
    must_find(what, where);
    overwrite_word(chunk, saved);
    must_be_sound();
}

static void wrong_flags_are_found(void **state)
{
    const char *what = "size word with wrong flags";
    struct chunk *chunks[] = {scene.used, scene.small, scene.last, own.top};
    (void)state;
    for (size_t i = 0; i < count_of(chunks); i++) {
        uint64_t word = chunk_word(chunks[i]);
        const void *mem = chunk2mem(chunks[i]);
        with_word(chunks[i], word ^ CHUNK_NON_MAIN_ARENA, what, mem);
        with_word(chunks[i], word ^ CHUNK_IS_MMAPPED, what, mem);
    }
}

static void broken_seals_are_found(void **state)
{
    const char *what = "size word with a broken seal";
    struct chunk *chunks[] = {scene.used, scene.small, scene.last, own.top};
    (void)state;
    for (size_t i = 0; i < count_of(chunks); i++) {
        uint64_t word = chunk_word(chunks[i]);
        const void *mem = chunk2mem(chunks[i]);
        for (int bit = 32; bit < 64; bit++) {
            with_word(chunks[i], word ^ (uint64_t)1 << bit, what, mem);
        }
    }
    with_word(scene.used, chunk_word(scene.used) ^ 16, what,
              chunk2mem(scene.used));
    /* What is with the program may just as well be in a cache ... */
    chunk_flip_cached(scene.used);
    must_be_sound();
    chunk_flip_cached(scene.used);
    /* ... but nothing that is free. */
    chunk_flip_cached(scene.small);
    must_find(what, chunk2mem(scene.small));
    chunk_flip_cached(scene.small);
    must_be_sound();
}

static void impossible_sizes_are_found(void **state)
{
    static const size_t sizes[] = {0, 16, HEAP_MAX_SIZE, 0xfffffff0};
    const char *what = "size word with an impossible size";
    (void)state;
    for (size_t i = 0; i < count_of(sizes); i++) {
        with_word(scene.used, sizes[i] | 4 | 1, what, chunk2mem(scene.used));
        with_word(scene.small, sizes[i] | 8 | 4 | 1, what,
                  chunk2mem(scene.small));
    }
    size_t room = (uintptr_t)heap_end(own.heaps) - (uintptr_t)scene.last;
    with_word(scene.last, (room + 16) | 4 | 1, what, chunk2mem(scene.last));
}

static void a_wrong_p_is_found(void **state)
{
    const char *what = "P differs from the state of the chunk before";
    struct chunk *chunks[] = {scene.used, scene.small, scene.after_small,
                              own.top};
    (void)state;
    for (size_t i = 0; i < count_of(chunks); i++) {
        with_word(chunks[i], chunk_word(chunks[i]) ^ CHUNK_PREV_INUSE, what,
                  chunk2mem(chunks[i]));
    }
}

static void free_neighbours_are_found(void **state)
{
    (void)state;
    with_head(scene.after_small, 64, 4 | 8, "two free chunks side by side",
              chunk2mem(scene.after_small));
}

static void a_wrong_footer_is_found(void **state)
{
    (void)state;
    scene.after_small->prev_size += 16;
    must_find("footer differs from size word", chunk2mem(scene.small));
    scene.after_small->prev_size -= 16;
    must_be_sound();
}

/* ---- top and fences ----------------------------------------------------- */

static void a_short_top_is_found(void **state)
{
    (void)state;
    size_t size = chunk_size(own.top);
    with_head(own.top, size - 16, 1 | 4 | 8, "top ends before its heap",
              chunk2mem(own.top));
    with_head(own.top, size, 1 | 4, "heap ends with neither top nor fence",
              own.heaps);
}

static void a_top_that_is_elsewhere_is_found(void **state)
{
    static _Alignas(MALLOC_ALIGNMENT) char foreign[64];
    (void)state;
    struct chunk *top = own.top;
    own.top = NULL;
    must_find("no fence at the end of a heap", chunk2mem(top));
    own.top = scene.large;
    must_find("top ends before its heap", chunk2mem(scene.large));
    own.top = chunk_at(foreign, 0);
    must_find("no fence at the end of a heap", chunk2mem(top));
    /* Even if the heap ends as a closed one does. */
    chunk_mark_inuse(top);
    must_find("top is not a chunk of a heap", foreign);
    own.top = top;
    chunk_mark_free(top);
    must_be_sound();
}

/* A closed heap of two chunks, and a new one. */
static struct heap *close_a_heap(void)
{
    take(HEAP_MAX_SIZE / 2);
    size_t rest = HEAP_MAX_SIZE - ((uintptr_t)own.top - (uintptr_t)own.heaps);
    take(rest - 64);
    MUST(chunk_size(own.top) == 64);
    struct heap *closed = own.heaps;
    take(2 * LARGE);
    MUST(own.heap_count == 2 && own.heaps->next == closed);
    return closed;
}

static void a_missing_fence_is_found(void **state)
{
    (void)state;
    struct heap *closed = close_a_heap();
    must_be_sound();
    struct chunk *rest = chunk_at(closed, HEAP_MAX_SIZE - 64);
    assert_true(chunk_is_free(rest));
    with_head(rest, 64, 1 | 4 | 8, "no fence at the end of a heap",
              chunk2mem(rest));
}

static void a_top_in_an_old_heap_is_found(void **state)
{
    (void)state;
    struct heap *closed = close_a_heap();
    struct heap *newest = own.heaps;
    own.heaps = closed;
    closed->next = newest;
    closed->previous = NULL;
    newest->next = NULL;
    newest->previous = closed;
    must_find("top is not in the newest heap", own.top);
    own.heaps = newest;
    newest->next = closed;
    newest->previous = NULL;
    closed->next = NULL;
    closed->previous = newest;
    must_be_sound();
}

/* ---- what was touched --------------------------------------------------- */

static void a_touched_top_must_be_counted(void **state)
{
    (void)state;
    size_t touched = own.heaps->touched;
    own.heaps->touched = touched - 16;
    must_find("top's header counts as untouched", own.top);
    own.heaps->touched = touched;
    must_be_sound();
}

static void a_byte_behind_touched_is_found(void **state)
{
    (void)state;
    char *untouched = heap_touched_end(own.heaps);
    for (int i = 0; i < 8; i++) {
        untouched[i] = 1;
        must_find("untouched memory is not zero", untouched);
        untouched[i] = 0;
    }
    must_be_sound();
    /* In a heap that was touched to its end there is nothing to look at. */
    size_t touched = own.heaps->touched;
    own.heaps->touched = own.heaps->committed;
    must_be_sound();
    own.heaps->touched = touched;
}

/* ---- heaps -------------------------------------------------------------- */

static void a_foreign_heap_is_found(void **state)
{
    const char *what = "heap does not belong to its arena";
    (void)state;
    own.heaps->arena = NULL;
    must_find(what, own.heaps);
    own.heaps->arena = &own;
    owner_set(own.heaps, OWN_NUMBER - 1);
    must_find(what, own.heaps);
    owner_set(own.heaps, 0);
    must_find(what, own.heaps);
    owner_set(own.heaps, OWN_NUMBER);
    must_be_sound();
}

static void impossible_bounds_are_found(void **state)
{
    const char *what = "heap with impossible bounds";
    struct heap *heap = own.heaps;
    (void)state;
    struct heap saved = *heap;
    heap->reserved = heap->committed - os_page_size();
    must_find(what, heap);
    heap->reserved = HEAP_MAX_SIZE + os_page_size();
    must_find(what, heap);
    *heap = saved;
    heap->touched = heap->committed + 16;
    must_find(what, heap);
    *heap = saved;
    heap->committed -= 16;
    must_find(what, heap);
    *heap = saved;
    must_be_sound();
}

static void a_broken_list_of_heaps_is_found(void **state)
{
    const char *what = "list of heaps is broken";
    (void)state;
    struct heap *closed = close_a_heap();
    closed->previous = NULL;
    must_find(what, closed);
    closed->previous = closed;
    must_find(what, closed);
    closed->previous = own.heaps;
    own.heaps->previous = closed;
    must_find(what, own.heaps);
    own.heaps->previous = NULL;
    closed->next = own.heaps; /* in a circle */
    must_find(what, own.heaps);
    closed->next = NULL;
    own.heap_count = 1;
    must_find(what, closed);
    own.heap_count = 2;
    must_be_sound();
}

/* Where a link leads is looked up before it is followed. */
static void follow_wild_links(void *unused)
{
    static const uintptr_t wild[] = {0x10000, 0x4141414141414141,
                                     UINTPTR_MAX - 15};
    struct damage damage;
    (void)unused;
    for (size_t i = 0; i < count_of(wild); i++) {
        own.heaps->next = (struct heap *)wild[i];
        own.heap_count = 2;
        MUST(!check_arena(&own, &damage));
        own.heaps->next = NULL;
        struct heap *heaps = own.heaps;
        own.heaps = (struct heap *)wild[i];
        MUST(!check_arena(&own, &damage));
        own.heaps = heaps;
    }
}

static void a_wild_link_between_heaps_is_found(void **state)
{
    (void)state;
    child_must_succeed(follow_wild_links, NULL);
}

static void wrong_accounts_are_found(void **state)
{
    const char *what = "accounts differ from the heaps";
    (void)state;
    own.heap_count++;
    must_find(what, &own);
    own.heap_count--;
    own.system_bytes += os_page_size();
    must_find(what, &own);
    own.system_bytes -= 2 * os_page_size();
    must_find(what, &own);
    own.system_bytes += os_page_size();
    must_be_sound();
    own.max_system_bytes = own.system_bytes - 1;
    must_find(what, &own);
    own.max_system_bytes = own.system_bytes;
    must_be_sound();
}

/* ---- bins --------------------------------------------------------------- */

static struct chunk **bin_of(size_t size)
{
    struct large_bin place = large_bin_of(size);
    return size_has_exact_bin(size) ? &own.bins.exact[exact_bin_of(size)]
                                    : &own.bins.large[place.octave][place.sub];
}

static void a_link_out_of_the_heaps_is_found(void **state)
{
    const char *what = "link of a bin leads out of the heaps";
    (void)state;
    struct chunk *outside[] = {
        (struct chunk *)0x4141414141414140,
        (struct chunk *)16,
        (struct chunk *)&own,
        chunk_at(own.heaps, 0),
        heap_end(own.heaps),
        chunk_at(own.heaps, HEAP_MAX_SIZE),
    };
    assert_ptr_equal(*bin_of(SMALL), scene.twin);
    for (size_t i = 0; i < count_of(outside); i++) {
        link_write(&scene.twin->next_free, outside[i]);
        must_find(what, outside[i]);
        link_write(&scene.twin->next_free, scene.small);
        *bin_of(LARGE) = outside[i];
        must_find(what, outside[i]);
        *bin_of(LARGE) = scene.large;
        must_be_sound();
    }
}

static void a_misaligned_link_is_found(void **state)
{
    struct damage damage;
    (void)state;
    for (uintptr_t off = 1; off < 16; off++) {
        link_write(&scene.twin->next_free,
                   (void *)((uintptr_t)scene.small + off));
        assert_false(check_arena(&own, &damage));
    }
    link_write(&scene.twin->next_free, scene.small);
    must_be_sound();
}

static void a_circle_in_a_bin_is_found(void **state)
{
    (void)state;
    link_write(&scene.small->next_free, scene.twin);
    link_write(&scene.twin->previous_free, scene.small);
    link_write(&scene.small->previous_free, scene.twin);
    /* The bin's first has another before it, which is what is met first. */
    must_find("links of a bin disagree", chunk2mem(scene.twin));
    link_write(&scene.twin->previous_free, NULL);
    must_find("links of a bin disagree", chunk2mem(scene.twin));
    link_write(&scene.small->next_free, NULL);
    must_be_sound();
}

/* More entries than the heaps have free chunks: the walk ends there. */
static void more_entries_than_free_chunks_are_found(void **state)
{
    (void)state;
    /* large is in use: its bin and twin's have three, the heaps two. */
    chunk_mark_inuse(scene.large);
    chunk_set_prev_inuse(scene.after_large);
    must_find("bins hold more than the heaps", scene.large);
    chunk_clear_prev_inuse(scene.after_large);
    chunk_mark_free(scene.large);
    must_be_sound();
}

static void a_chunk_in_use_in_a_bin_is_found(void **state)
{
    const char *what = "chunk in a bin is not free";
    (void)state;
    *bin_of(SMALL) = scene.used;
    must_find(what, chunk2mem(scene.used));
    *bin_of(SMALL) = own.top;
    must_find(what, chunk2mem(own.top));
    *bin_of(SMALL) = scene.twin;
    must_be_sound();
}

static void a_chunk_in_the_wrong_bin_is_found(void **state)
{
    (void)state;
    *bin_of(SMALL + 16) = scene.twin;
    *bin_of(SMALL) = NULL;
    own.bins.exact_map <<= 1;
    must_find("chunk in the wrong bin", chunk2mem(scene.twin));
    *bin_of(SMALL) = scene.twin;
    *bin_of(SMALL + 16) = NULL;
    own.bins.exact_map >>= 1;
    must_be_sound();
}

static void links_that_disagree_are_found(void **state)
{
    const char *what = "links of a bin disagree";
    (void)state;
    link_write(&scene.twin->previous_free, scene.small);
    must_find(what, chunk2mem(scene.twin));
    link_write(&scene.twin->previous_free, NULL);
    link_write(&scene.small->previous_free, NULL);
    must_find(what, chunk2mem(scene.small));
    link_write(&scene.small->previous_free, scene.small);
    must_find(what, chunk2mem(scene.small));
    link_write(&scene.small->previous_free, scene.twin);
    must_be_sound();
}

static void wrong_bitmaps_are_found(void **state)
{
    const char *what = "bitmap differs from the bins";
    uint32_t *sub_map = &own.bins.sub_map[large_bin_of(LARGE).octave];
    (void)state;
    own.bins.exact_map ^= (uint64_t)1 << exact_bin_of(SMALL);
    must_find(what, &own.bins);
    own.bins.exact_map ^= (uint64_t)1 << exact_bin_of(SMALL);
    own.bins.exact_map ^= (uint64_t)1 << 63;
    must_find(what, &own.bins);
    own.bins.exact_map ^= (uint64_t)1 << 63;
    *sub_map ^= 1u << large_bin_of(LARGE).sub;
    must_find(what, &own.bins);
    *sub_map ^= 1u << large_bin_of(LARGE).sub;
    *sub_map ^= 1u << 31;
    must_find(what, &own.bins);
    *sub_map ^= 1u << 31;
    must_be_sound();
    for (unsigned octave = 0; octave < OCTAVES; octave++) {
        own.bins.octave_map ^= 1u << octave;
        must_find("bitmaps differ from each other", &own.bins);
        own.bins.octave_map ^= 1u << octave;
    }
    must_be_sound();
}

static void chunks_that_bins_do_not_have_are_found(void **state)
{
    const char *what = "bins differ from the free chunks";
    (void)state;
    own.bins.count++;
    must_find(what, &own.bins);
    own.bins.count--;
    own.bins.bytes -= 16;
    must_find(what, &own.bins);
    own.bins.bytes += 16;
    must_be_sound();
    link_write(&scene.twin->next_free, NULL); /* small is lost */
    must_find(what, &own.bins);
    link_write(&scene.twin->next_free, scene.small);
    must_be_sound();
}

/* ---- the depot ---------------------------------------------------------- */

enum {
    IN_DEPOT = 100, /* more than one magazine */
};

static struct magazine *fill_depot(void)
{
    MUST(lock_acquire(&own.lock));
    for (int i = 0; i < IN_DEPOT; i++) {
        struct chunk *chunk = _int_malloc(&own, SMALL);
        void *mem = chunk2mem(chunk);
        chunk_flip_cached(chunk);
        MUST(depot_give(&own.depot, class_joined_by(SMALL), &mem, 1) == 1);
    }
    lock_release(&own.lock);
    return own.depot.full[class_joined_by(SMALL)];
}

static void broken_magazines_are_found(void **state)
{
    const char *what = "broken magazine";
    (void)state;
    struct magazine *magazine = fill_depot();
    must_be_sound();
    size_t count = magazine->count;
    magazine->count = 0;
    must_find(what, magazine);
    magazine->count = MAGAZINE_MAX + 1;
    must_find(what, magazine);
    magazine->count = count;
    struct magazine *next = magazine->next;
    magazine->next = magazine; /* in a circle */
    must_find(what, magazine);
    magazine->next = next;
    must_be_sound();
}

static void blocks_that_are_not_cached_are_found(void **state)
{
    const char *what = "block in a magazine is not a cached one";
    (void)state;
    struct magazine *magazine = fill_depot();
    void *mem = magazine->mems[1];
    chunk_flip_cached(mem2chunk(mem));
    must_find(what, mem);
    chunk_flip_cached(mem2chunk(mem));
    must_be_sound();
    void *others[] = {chunk2mem(scene.used), chunk2mem(own.top),
                      (void *)0x4141414141414140, own.heaps};
    for (size_t i = 0; i < count_of(others); i++) {
        magazine->mems[1] = others[i];
        must_find(what, others[i]);
    }
    magazine->mems[1] = mem;
    must_be_sound();
    /* One that is too small for its class. */
    struct depot saved = own.depot;
    unsigned size_class = class_joined_by(SMALL);
    own.depot.full[size_class + 1] = own.depot.full[size_class];
    own.depot.full[size_class] = NULL;
    own.depot.map[size_class / 64] ^= (uint64_t)3 << size_class % 64;
    must_find(what, magazine->mems[0]);
    own.depot = saved;
    must_be_sound();
}

static void a_wrong_map_of_the_depot_is_found(void **state)
{
    const char *what = "map of the depot is wrong";
    (void)state;
    fill_depot();
    must_be_sound();
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        own.depot.map[i / 64] ^= (uint64_t)1 << i % 64;
        must_find(what, &own.depot);
        own.depot.map[i / 64] ^= (uint64_t)1 << i % 64;
    }
    must_be_sound();
}

static void a_wrong_depot_is_found(void **state)
{
    const char *what = "depot differs from its magazines";
    (void)state;
    fill_depot();
    own.depot.blocks++;
    must_find(what, &own.depot);
    own.depot.blocks--;
    own.depot.bytes -= 16;
    must_find(what, &own.depot);
    own.depot.bytes += 16;
    must_be_sound();
}

/* ---- runs --------------------------------------------------------------- */

enum {
    FULL_CLASS = CHUNK_CLASSES + 2,   /* 341 objects of 48 bytes */
    PARTIAL_CLASS = CLASS_COUNT - 1,  /* 15 of 1 KiB */
    SPARE_CLASS = CHUNK_CLASSES + 19, /* of 320 bytes */
    DEPOT_CLASS = CHUNK_CLASSES + 5,  /* of 96 bytes */
};

enum {
    SPAN_PAGES = 7,
    EMPTY_PAGES = 5,
};

/* Beside the scene, a span whose first page is a spare, then three runs, the
 * last of which has objects in the depot, and three more spares; and one that
 * is empty. */
static struct {
    struct run *full, *partial, *spare, *in_depot;
    struct run *unused; /* the last of that span */
    struct run *empty;  /* the first of the other */
    void *mems[RUN_CLASSES][341];
} runs;

static struct run *take_run_of(unsigned size_class, size_t objects)
{
    void **mems = runs.mems[size_class - CHUNK_CLASSES];
    for (size_t taken = 0; taken < objects;) {
        taken += arena_take(&own, size_class, mems + taken,
                            min_size(objects - taken, MAGAZINE_MAX));
    }
    return heap_run_of(mems[0]);
}

static struct run *make_span(struct chunk *chunk)
{
    unsigned pages = (unsigned)(chunk_size(chunk) / RUN_SIZE);
    char *start = chunk2mem(chunk);
    struct heap *heap = heap_for_ptr(start);
    MUST(heap_prepare_runs(heap));
    chunk_flip_cached(chunk);
    run_add_span(&own.runs, heap_run_of(start),
                 &heap->page_class[heap_page_of(start)], start, pages);
    return heap_run_of(start);
}

static void make_runs(void)
{
    struct chunk *empty = take_aligned(RUN_SIZE, EMPTY_PAGES * RUN_SIZE);
    struct chunk *chunk = take_aligned(RUN_SIZE, SPAN_PAGES * RUN_SIZE);
    runs.unused = make_span(chunk) + SPAN_PAGES - 1;
    MUST(lock_acquire(&own.lock));
    runs.spare = take_run_of(SPARE_CLASS, 1);
    runs.full = take_run_of(FULL_CLASS, 341);
    runs.partial = take_run_of(PARTIAL_CLASS, 5);
    runs.in_depot = take_run_of(DEPOT_CLASS, 20);
    arena_free_objects(&own, SPARE_CLASS,
                       runs.mems[SPARE_CLASS - CHUNK_CLASSES], 1, "heap");
    arena_give(&own, DEPOT_CLASS, runs.mems[DEPOT_CLASS - CHUNK_CLASSES], 20);
    lock_release(&own.lock);
    /* Later, or it would be freed as too much. */
    runs.empty = make_span(empty);
    MUST(runs.full->free == 0 && runs.partial->free == 10);
    MUST(own.runs.spare == runs.spare && own.runs.empty == runs.empty);
    MUST(runs.spare->pages == SPAN_PAGES && runs.spare->used == 3);
    MUST(own.runs.spares == SPAN_PAGES - 3 + EMPTY_PAGES);
    MUST(own.runs.count == 3 && own.depot.blocks == 20);
    must_be_sound();
}

static uint8_t *page_class_of(const void *mem)
{
    return &own.heaps->page_class[heap_page_of(mem)];
}

static void must_find_kind(const char *what)
{
    struct damage damage;
    assert_false(check_arena(&own, &damage));
    assert_string_equal(damage.what, what);
}

static void a_wrong_byte_for_a_page_is_found(void **state)
{
    const char *what = "run at odds with itself";
    (void)state;
    make_runs();
    uint8_t *page_class = page_class_of(runs.partial->start);
    uint8_t saved = *page_class;
    *page_class = RUN_CLASSES + 1;
    must_find(what, runs.partial->start);
    *page_class = 255;
    must_find(what, runs.partial->start);
    /* Watched for nothing, and not a run at all. */
    *page_class = saved | RUN_WATCHED;
    must_find(what, runs.partial->start);
    *page_class = RUN_WATCHED;
    must_find("spare with objects", runs.partial->start);
    *page_class = 0;
    must_find("spare with objects", runs.partial->start);
    *page_class = saved;
    must_be_sound();
    /* The table is gone. */
    struct run *table = own.heaps->runs;
    own.heaps->runs = NULL;
    must_find_kind("lists hold more runs than there are");
    own.heaps->runs = table;
    must_be_sound();
}

/* Nothing was given to what is no page of a span. */
static void a_page_of_no_span_is_found(void **state)
{
    static const size_t sizes[] = {MIN_CHUNK_SIZE, RUN_SIZE - 16, RUN_SIZE,
                                   RUN_SIZE + 16, 2 * RUN_SIZE};
    const char *what = "runs differ from what is known of them";
    (void)state;
    make_runs();
    for (size_t i = 0; i < count_of(sizes); i++) {
        const void *mem = chunk2mem(take_aligned(RUN_SIZE, sizes[i]));
        uint8_t *given = &own.heaps->page_given[heap_page_of(mem)];
        *page_class_of(mem) = 1;
        must_find(what, &own.runs);
        *page_class_of(mem) = RUN_WATCHED; /* as for a profile */
        must_find("tag at odds with its page", run_page(mem));
        tags_set_byte(mem, RUN_WATCHED);
        must_be_sound();
        *page_class_of(mem) = 0;
        tags_set_byte(mem, 0);
        *given = GIVEN_BEFORE;
        must_find(what, &own.runs);
        *given = GIVEN_NOTHING;
        must_be_sound();
    }
    *page_class_of(runs.unused->start) = RUN_WATCHED;
    must_find("spare that is watched", runs.unused->start);
    *page_class_of(runs.unused->start) = 0;
    must_be_sound();
}

static void a_span_at_odds_with_its_chunk_is_found(void **state)
{
    static const uint8_t wrong[] = {1, SPAN_PAGES - 1, SPAN_PAGES + 1,
                                    RUN_SPAN_MAX + 1, 255};
    const char *what = "span at odds with its chunk";
    (void)state;
    make_runs();
    for (size_t i = 0; i < count_of(wrong); i++) {
        runs.spare->pages = wrong[i];
        must_find(what, runs.spare->start);
    }
    runs.spare->pages = SPAN_PAGES;
    /* One that could be freed as a block. */
    chunk_flip_cached(mem2chunk(runs.empty->start));
    must_find(what, runs.empty->start);
    chunk_flip_cached(mem2chunk(runs.empty->start));
    /* Not any more. */
    runs.spare->pages = 0;
    must_find_kind("lists hold more runs than there are");
    runs.spare->pages = SPAN_PAGES;
    runs.spare->start += 16;
    must_find_kind("lists hold more runs than there are");
    runs.spare->start -= 16;
    must_be_sound();
    /* A chunk that is none; 16 bytes more are. */
    struct chunk *chunk = take_aligned(RUN_SIZE, RUN_SIZE + 16);
    char *mem = chunk2mem(chunk);
    struct run *run = heap_run_of(mem);
    run->start = mem;
    run->pages = 1;
    must_find(what, mem);
    chunk_flip_cached(chunk);
    must_find("page at odds with its span", mem);
    run->byte = page_class_of(mem);
    run->dirty = 15;
    must_find("runs differ from what is known of them", &own.runs);
    memset(run, 0, sizeof *run);
    must_be_sound();
}

static void a_page_at_odds_with_its_span_is_found(void **state)
{
    struct run *all[] = {NULL, NULL, NULL, NULL};
    const char *what = "page at odds with its span";
    (void)state;
    make_runs();
    all[0] = runs.full;
    all[1] = runs.partial;
    all[2] = runs.unused;
    all[3] = runs.empty + 1;
    for (size_t i = 0; i < count_of(all); i++) {
        struct run *run = all[i];
        char *start = run->start;
        run->start += 16;
        must_find(what, start);
        run->start = NULL;
        must_find(what, start);
        run->start = start;
        run->at++;
        must_find(what, start);
        run->at--;
        run->pages = 1;
        must_find(what, start);
        run->pages = 0;
        run->byte++;
        must_find(what, start);
        run->byte = NULL;
        must_find(what, start);
        run->byte = page_class_of(start);
        must_be_sound();
    }
    runs.spare->at = 1;
    must_find(what, runs.spare->start);
    runs.spare->at = 0;
    runs.spare->byte++;
    must_find(what, runs.spare->start);
    runs.spare->byte--;
    runs.unused->objects = 1;
    must_find("spare with objects", runs.unused->start);
    runs.unused->objects = 0;
    must_be_sound();
}

static void a_span_that_miscounts_is_found(void **state)
{
    const char *what = "span miscounts its runs";
    (void)state;
    make_runs();
    runs.spare->used++;
    must_find(what, runs.spare->start);
    runs.spare->used -= 2;
    must_find(what, runs.spare->start);
    runs.spare->used++;
    runs.empty->used++;
    must_find(what, runs.empty->start);
    runs.empty->used--;
    must_be_sound();
}

/* In what the kernel is said to have. */
static void a_quarter_that_is_not_zero_is_found(void **state)
{
    struct run *all[] = {NULL, NULL};
    (void)state;
    make_runs();
    all[0] = runs.unused;
    all[1] = runs.in_depot; /* 20 * 96 bytes of it are in use */
    for (size_t i = 0; i < count_of(all); i++) {
        run_note_returned(all[i], 1 << 1 | 1 << 2);
        must_be_sound();
        uint64_t *first = (uint64_t *)(all[i]->start + RUN_QUARTER * 2);
        *first = 1;
        must_find("page that was given back is not zero", first);
        *first = 0;
        must_be_sound();
    }
    /* ... while objects in it are in use. */
    runs.in_depot->dirty &= 0xe;
    must_find("run at odds with itself", runs.in_depot->start);
    runs.in_depot->dirty |= 1;
    /* It has clean quarters, but nobody is told. */
    *page_class_of(runs.in_depot->start) ^= RUN_WATCHED;
    must_find("run at odds with itself", runs.in_depot->start);
    *page_class_of(runs.in_depot->start) ^= RUN_WATCHED;
    must_be_sound();
}

static void with_run(struct run *run, const struct run *changed)
{
    struct run saved = *run;
    *run = *changed;
    must_find("run at odds with itself", saved.start);
    *run = saved;
    must_be_sound();
}

static void a_run_at_odds_with_itself_is_found(void **state)
{
    struct run *all[3];
    (void)state;
    make_runs();
    all[0] = runs.full;
    all[1] = runs.partial;
    all[2] = runs.in_depot;
    for (size_t i = 0; i < count_of(all); i++) {
        struct run changed = *all[i];
        changed.size_class++;
        with_run(all[i], &changed);
        changed = *all[i];
        changed.objects--;
        with_run(all[i], &changed);
        changed = *all[i];
        changed.free++;
        with_run(all[i], &changed);
        changed = *all[i];
        changed.free_map[0] ^= 1;
        with_run(all[i], &changed);
        changed = *all[i];
        changed.limit++;
        with_run(all[i], &changed);
    }
    /* The page has another class than the run. */
    ++*page_class_of(runs.full->start);
    must_find("run at odds with itself", runs.full->start);
    --*page_class_of(runs.full->start);
    /* A spare that a heap takes for a run. */
    *page_class_of(runs.spare->start) = SPARE_CLASS - CHUNK_CLASSES + 1;
    must_find("run at odds with itself", runs.spare->start);
    *page_class_of(runs.spare->start) = 0;
    must_be_sound();
}

static void wrong_sums_of_runs_are_found(void **state)
{
    const char *what = "runs differ from what is known of them";
    (void)state;
    make_runs();
    size_t *sums[] = {&own.runs.count, &own.runs.spares, &own.runs.free_objects,
                      &own.runs.free_bytes, &own.runs.empty_pages};
    for (size_t i = 0; i < count_of(sums); i++) {
        ++*sums[i];
        must_find(what, &own.runs);
        --*sums[i];
        must_be_sound();
    }
    /* A page where no chunk begins that could be a run. */
    uint8_t *page_class = &own.heaps->page_class[HEAP_PAGES - 1];
    *page_class = 1;
    must_find(what, &own.runs);
    *page_class = 0;
    /* One that its list has lost, a lost spare, and a lost span. */
    struct run **bucket =
        &own.runs.buckets[PARTIAL_CLASS - CHUNK_CLASSES][runs.partial->bucket];
    assert_ptr_equal(*bucket, runs.partial);
    *bucket = NULL;
    must_find("lists hold fewer runs than there are", &own.runs);
    *bucket = runs.partial;
    own.runs.spare = runs.spare->next;
    own.runs.spare->previous = NULL;
    must_find(what, &own.runs);
    own.runs.spare->previous = runs.spare;
    own.runs.spare = runs.spare;
    own.runs.empty = NULL;
    must_find(what, &own.runs);
    own.runs.empty = runs.empty;
    must_be_sound();
}

static void a_run_in_the_wrong_list_is_found(void **state)
{
    const char *what = "run in the wrong list";
    (void)state;
    make_runs();
    struct run *(*lists)[RUN_BUCKETS] =
        &own.runs.buckets[PARTIAL_CLASS - CHUNK_CLASSES];
    unsigned right = runs.partial->bucket;
    (*lists)[right] = NULL;
    (*lists)[(right + 1) % RUN_BUCKETS] = runs.partial;
    must_find(what, runs.partial->start);
    (*lists)[(right + 1) % RUN_BUCKETS] = NULL;
    own.runs.buckets[3][right] = runs.partial;
    must_find(what, runs.partial->start);
    own.runs.buckets[3][right] = NULL;
    (*lists)[right] = runs.partial;
    must_be_sound();
    /* One without free objects. */
    struct run **first =
        &own.runs.buckets[FULL_CLASS - CHUNK_CLASSES][runs.full->bucket];
    *first = runs.full;
    runs.full->next = NULL;
    runs.full->previous = NULL;
    must_find(what, runs.full->start);
    *first = NULL;
    must_be_sound();
    /* One with objects among the spares, and the other way round. */
    own.runs.spare = runs.full;
    must_find(what, runs.full->start);
    own.runs.spare = runs.spare;
    *first = runs.spare;
    must_find(what, runs.spare->start);
    *first = NULL;
    must_be_sound();
}

static void a_page_in_the_wrong_list_is_found(void **state)
{
    const char *what = "run in the wrong list";
    static struct run saved;
    (void)state;
    make_runs();
    /* Spans with runs among the empty ones, and the other way round. */
    own.runs.empty = runs.spare;
    must_find(what, runs.spare->start);
    own.runs.empty = runs.unused;
    must_find("lists hold more runs than there are", runs.unused);
    own.runs.empty = runs.empty;
    own.runs.spare = runs.empty;
    must_find(what, runs.empty->start);
    own.runs.spare = runs.empty + 1;
    must_find(what, runs.empty[1].start);
    own.runs.spare = runs.spare;
    must_be_sound();
    /* A page that is in no span: whatever it says of one. */
    char *mem = chunk2mem(take_aligned(RUN_SIZE, RUN_SIZE));
    struct run *run = heap_run_of(mem);
    saved = *run;
    run->start = mem;
    own.runs.spare = run;
    must_find(what, mem);
    run->at = 255;
    must_find(what, mem);
    own.runs.spare = runs.spare;
    run->at = (uint8_t)(run - runs.empty);
    run->pages = 1;
    own.runs.empty = run;
    must_find("span at odds with its chunk", mem);
    run->start = mem + 16;
    must_find(what, mem + 16);
    own.runs.empty = runs.empty;
    *run = saved;
    must_be_sound();
}

static void a_broken_list_of_runs_is_found(void **state)
{
    const char *what = "list of runs is broken";
    static struct run copy;
    (void)state;
    make_runs();
    runs.partial->previous = runs.full;
    must_find(what, runs.partial);
    runs.partial->previous = NULL;
    runs.spare->previous = runs.spare;
    must_find(what, runs.spare);
    runs.spare->previous = NULL;
    must_be_sound();
    /* Nothing is believed of a run that is not in the table of its heap. */
    copy = *runs.partial;
    struct run **bucket =
        &own.runs.buckets[PARTIAL_CLASS - CHUNK_CLASSES][runs.partial->bucket];
    *bucket = &copy;
    must_find(what, &copy);
    copy.start = (char *)&copy;
    must_find(what, &copy);
    copy.start = (char *)0x4141414141414141;
    must_find(what, &copy);
    *bucket = runs.partial;
    must_be_sound();
    runs.empty->previous = runs.spare;
    must_find(what, runs.empty);
    runs.empty->previous = NULL;
    copy = *runs.empty;
    own.runs.empty = &copy;
    must_find(what, &copy);
    own.runs.empty = runs.empty;
    copy = *runs.spare;
    own.runs.spare = &copy;
    must_find(what, &copy);
    own.runs.spare = runs.spare;
    must_be_sound();
}

static void a_circle_of_runs_is_found(void **state)
{
    const char *what = "lists hold more runs than there are";
    (void)state;
    make_runs();
    runs.empty->next = runs.empty;
    runs.empty->previous = runs.empty;
    must_find("list of runs is broken", runs.empty);
    runs.empty->previous = NULL;
    must_find(what, runs.empty);
    runs.empty->next = NULL;
    must_be_sound();
    runs.partial->next = runs.partial;
    must_find(what, runs.partial);
    runs.partial->next = NULL;
    must_be_sound();
}

/* Of the objects of a magazine. */
static void objects_that_are_not_cached_are_found(void **state)
{
    const char *what = "block in a magazine is not a cached one";
    (void)state;
    make_runs();
    struct magazine *magazine = own.depot.full[DEPOT_CLASS];
    char *mem = magazine->mems[3];
    /* Handed out; and back in its run. */
    object_wipe_mark(mem);
    must_find(what, mem);
    object_set_mark(mem);
    must_be_sound();
    unsigned free_one = runs.in_depot->objects - 1u;
    void *others[] = {
        runs.in_depot->start + 96 * free_one,     /* with its run */
        mem + 16,                                 /* the middle of one */
        runs.mems[FULL_CLASS - CHUNK_CLASSES][7], /* of another class */
        runs.spare->start,                        /* of no run any more */
        runs.in_depot->start + RUN_SIZE - 16,     /* behind the last one */
        chunk2mem(scene.used),
        chunk2mem(own.top),
        (void *)0x4141414141414140,
        own.heaps,
    };
    for (size_t i = 0; i < count_of(others); i++) {
        magazine->mems[3] = others[i];
        must_find(what, others[i]);
    }
    object_set_mark(others[0]);
    magazine->mems[3] = others[0];
    must_find(what, others[0]);
    magazine->mems[3] = mem;
    must_be_sound();
    /* A cached chunk among objects, and an object among chunks. */
    struct magazine *chunks = fill_depot();
    magazine->mems[3] = chunks->mems[2];
    must_find(what, chunks->mems[2]);
    magazine->mems[3] = mem;
    void *chunk = chunks->mems[2];
    chunks->mems[2] = mem;
    must_find(what, mem);
    chunks->mems[2] = chunk;
    must_be_sound();
}

/* ---- any damage --------------------------------------------------------- */

static uint64_t random_word(struct rng *rng)
{
    switch (rng_below(rng, 5)) {
    case 0:
        return rng_next(rng);
    case 1:
        return rng_below(rng, 1 << 17);
    case 2:
        return (uintptr_t)own.heaps + rng_below(rng, 8192) * 8;
    case 3:
        return (uintptr_t)own.heaps + rng_below(rng, 4096) * 16;
    default:
        return rng_below(rng, 2) == 0 ? 0 : UINT64_MAX;
    }
}

/* Two words of the heap at a time have any value. The walk ends, in one way or
 * the other, and changes nothing. */
static void the_walk_ends_whatever_it_meets(void **state)
{
    struct rng rng = {6};
    uint64_t *words = (uint64_t *)heap_first_chunk(own.heaps);
    size_t count = ((uintptr_t)own.top - (uintptr_t)words) / 8 + 2;
    size_t found = 0;
    (void)state;
    for (int i = 0; i < 6000; i++) {
        struct damage damage;
        size_t a = rng_below(&rng, i % 2 == 0 ? 24 : count);
        size_t b = rng_below(&rng, count);
        uint64_t saved_a = words[a], saved_b = words[b];
        words[a] = random_word(&rng);
        words[b] = random_word(&rng);
        found += !check_arena(&own, &damage);
        words[b] = saved_b;
        words[a] = saved_a;
    }
    must_be_sound();
    assert_true(found > 500);
}

/* The bytes for the pages, and what is known of the runs but for the links. */
static void the_walk_ends_whatever_a_heap_says_of_runs(void **state)
{
    struct rng rng = {7};
    size_t found = 0;
    (void)state;
    make_runs();
    struct run *all[] = {runs.full, runs.partial, runs.spare, runs.in_depot};
    for (int i = 0; i < 4000; i++) {
        struct damage damage;
        struct run *run = all[rng_below(&rng, count_of(all))];
        struct run saved = *run;
        uint8_t *page_class = &own.heaps->page_class[rng_below(&rng, 16)];
        uint8_t saved_class = *page_class;
        uint64_t *words = (uint64_t *)&run->start;
        size_t count = (sizeof *run - offsetof(struct run, start)) / 8;
        words[rng_below(&rng, count)] = random_word(&rng);
        *page_class = (uint8_t)rng_next(&rng);
        found += !check_arena(&own, &damage);
        *page_class = saved_class;
        *run = saved;
    }
    must_be_sound();
    assert_true(found > 3000);
}

/* ---- everything --------------------------------------------------------- */

static void must_find_everywhere(const char *what, const void *where,
                                 unsigned arena)
{
    struct damage damage = {NULL, NULL, 99};
    MUST(!inspect_everything(&damage));
    MUST(strcmp(damage.what, what) == 0);
    MUST(damage.address == where && damage.arena == arena);
}

static void hold_main(void *unused)
{
    (void)unused;
    MUST(arena_acquire(&main_arena));
}

static void release_main(void *unused)
{
    (void)unused;
    arena_release(&main_arena);
}

static void damage_arenas_and_mappings(void *unused)
{
    struct actor holder;
    struct damage damage;
    (void)unused;
    MUST(inspect_everything(&damage));
    void *in_main = alloc_malloc(100);
    void *mapped = alloc_malloc(10 << 20);
    actor_start(&holder);
    actor_do(&holder, hold_main, NULL);
    void *in_other = alloc_malloc(100);
    actor_do(&holder, release_main, NULL);
    MUST(inspect_everything(&damage));

    struct chunk *chunk = mem2chunk(mapped);
    chunk_set_prev_inuse(chunk);
    must_find_everywhere("header of a mapping does not match the table", mapped,
                         0);
    chunk_clear_prev_inuse(chunk);
    MUST(inspect_everything(&damage));

    chunk = mem2chunk(in_other);
    chunk_clear_prev_inuse(chunk);
    must_find_everywhere("P differs from the state of the chunk before",
                         in_other, 2);
    chunk_set_prev_inuse(chunk);

    chunk = mem2chunk(in_main);
    chunk_clear_prev_inuse(chunk);
    must_find_everywhere("P differs from the state of the chunk before",
                         in_main, 1);
    chunk_set_prev_inuse(chunk);
    MUST(inspect_everything(&damage));
    MUST(lock_ranks_held == 0);
}

static void arenas_and_mappings_are_inspected(void **state)
{
    (void)state;
    child_must_succeed(damage_arenas_and_mappings, NULL);
}

/* ---- counting ----------------------------------------------------------- */

static void an_arena_is_counted(void **state)
{
    struct arena_stats stats;
    (void)state;
    assert_true(arena_stats(&own, &stats));
    assert_int_equal(stats.system_bytes, own.heaps->committed);
    assert_int_equal(stats.max_system_bytes, own.heaps->committed);
    assert_int_equal(stats.free_chunks, 4);
    assert_int_equal(stats.top_bytes, chunk_size(own.top));
    assert_int_equal(stats.free_bytes, 2 * SMALL + LARGE + chunk_size(own.top));
    assert_int_equal(stats.heaps, 1);
    assert_int_equal(stats.address_bytes, HEAP_MAX_SIZE);
    close_a_heap();
    assert_true(arena_stats(&own, &stats));
    assert_int_equal(stats.heaps, 2);
    assert_int_equal(stats.address_bytes, 2 * HEAP_MAX_SIZE);
    assert_int_equal(stats.system_bytes, HEAP_MAX_SIZE + own.heaps->committed);
}

static void runs_are_counted(void **state)
{
    struct arena_stats before, stats;
    (void)state;
    assert_true(arena_stats(&own, &before));
    assert_int_equal(before.run_blocks, 0);
    assert_int_equal(before.run_bytes, 0);
    make_runs();
    assert_true(arena_stats(&own, &stats));
    /* What waits in the depot counts as used, as chunks do. */
    size_t of_96 = RUN_USABLE / 96 - 20;
    size_t spares = SPAN_PAGES - 3 + EMPTY_PAGES;
    assert_int_equal(stats.run_blocks, 10 + of_96 + spares);
    assert_int_equal(stats.run_bytes,
                     10 * 1024 + of_96 * 96 + spares * RUN_SIZE);
    size_t taken = (SPAN_PAGES + EMPTY_PAGES) * RUN_SIZE;
    assert_true(before.free_bytes - stats.free_bytes +
                    (stats.system_bytes - before.system_bytes) >=
                taken);
}

static void an_arena_without_heap_counts_nothing(void **state)
{
    struct arena_stats stats;
    static const struct arena_stats nothing;
    (void)state;
    own_end(NULL);
    own_begin(NULL);
    assert_true(arena_stats(&own, &stats));
    assert_memory_equal(&stats, &nothing, sizeof stats);
    must_be_sound();
}

static void counts_add_up(void **state)
{
    struct arena_stats sum = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const struct arena_stats more = {10, 20, 30, 40, 50, 60, 70, 80, 90};
    static const struct arena_stats expected = {11, 22, 33, 44, 55,
                                                66, 77, 88, 99};
    (void)state;
    arena_stats_add(&sum, &more);
    assert_memory_equal(&sum, &expected, sizeof sum);
}

static void bins_are_counted_one_by_one(void **state)
{
    static const struct bin_stats expected[] = {
        {SMALL, SMALL, 2 * SMALL, 2}, {LARGE, LARGE + 32, 2 * LARGE + 32, 2}};
    struct bin_stats stats;
    unsigned position = 0;
    (void)state;
    struct chunk *second = take(LARGE + 32);
    take(2 * LARGE);
    give(second);
    for (size_t i = 0; i < count_of(expected); i++) {
        assert_true(bin_stats_next(&own, &position, &stats));
        assert_memory_equal(&stats, &expected[i], sizeof stats);
    }
    assert_false(bin_stats_next(&own, &position, &stats));
}

/* One orphaned by fork: not counted, not walked. */
static void look_at_an_abandoned_arena(void *unused)
{
    struct arena_stats stats;
    struct damage damage;
    static const struct arena_stats nothing;
    (void)unused;
    own.is_abandoned = true;
    MUST(!arena_stats(&own, &stats));
    MUST(memcmp(&stats, &nothing, sizeof stats) == 0);
    MUST(check_arena(&own, &damage));
}

static void hold_own(void *unused)
{
    (void)unused;
    MUST(lock_acquire(&own.lock));
    chunk_set_head(scene.used, 0, 0);
}

static void release_own(void *word)
{
    overwrite_word(scene.used, *(uint64_t *)word);
    lock_release(&own.lock);
}

static void an_abandoned_arena_is_passed_over(void **state)
{
    struct actor holder;
    uint64_t word = chunk_word(scene.used);
    (void)state;
    actor_start(&holder);
    actor_do(&holder, hold_own, NULL);
    child_must_succeed(look_at_an_abandoned_arena, NULL);
    actor_do(&holder, release_own, &word);
    actor_end(&holder);
}

#define scene_test(name)                                                       \
    cmocka_unit_test_setup_teardown(name, set_scene, end_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(wrong_flags_are_found),
        scene_test(broken_seals_are_found),
        scene_test(impossible_sizes_are_found),
        scene_test(a_wrong_p_is_found),
        scene_test(free_neighbours_are_found),
        scene_test(a_wrong_footer_is_found),
        scene_test(a_short_top_is_found),
        scene_test(a_top_that_is_elsewhere_is_found),
        scene_test(a_missing_fence_is_found),
        scene_test(a_top_in_an_old_heap_is_found),
        scene_test(a_touched_top_must_be_counted),
        scene_test(a_byte_behind_touched_is_found),
        scene_test(a_foreign_heap_is_found),
        scene_test(impossible_bounds_are_found),
        scene_test(a_broken_list_of_heaps_is_found),
        scene_test(a_wild_link_between_heaps_is_found),
        scene_test(wrong_accounts_are_found),
        scene_test(a_link_out_of_the_heaps_is_found),
        scene_test(a_misaligned_link_is_found),
        scene_test(a_circle_in_a_bin_is_found),
        scene_test(more_entries_than_free_chunks_are_found),
        scene_test(a_chunk_in_use_in_a_bin_is_found),
        scene_test(a_chunk_in_the_wrong_bin_is_found),
        scene_test(links_that_disagree_are_found),
        scene_test(wrong_bitmaps_are_found),
        scene_test(chunks_that_bins_do_not_have_are_found),
        scene_test(broken_magazines_are_found),
        scene_test(blocks_that_are_not_cached_are_found),
        scene_test(a_wrong_map_of_the_depot_is_found),
        scene_test(a_wrong_depot_is_found),
        scene_test(a_wrong_byte_for_a_page_is_found),
        scene_test(a_page_of_no_span_is_found),
        scene_test(a_span_at_odds_with_its_chunk_is_found),
        scene_test(a_page_at_odds_with_its_span_is_found),
        scene_test(a_span_that_miscounts_is_found),
        scene_test(a_quarter_that_is_not_zero_is_found),
        scene_test(a_page_in_the_wrong_list_is_found),
        scene_test(a_run_at_odds_with_itself_is_found),
        scene_test(wrong_sums_of_runs_are_found),
        scene_test(a_run_in_the_wrong_list_is_found),
        scene_test(a_broken_list_of_runs_is_found),
        scene_test(a_circle_of_runs_is_found),
        scene_test(objects_that_are_not_cached_are_found),
        scene_test(the_walk_ends_whatever_it_meets),
        scene_test(the_walk_ends_whatever_a_heap_says_of_runs),
        scene_test(runs_are_counted),
        scene_test(arenas_and_mappings_are_inspected),
        scene_test(an_arena_is_counted),
        scene_test(an_arena_without_heap_counts_nothing),
        scene_test(counts_add_up),
        scene_test(bins_are_counted_one_by_one),
        scene_test(an_abandoned_arena_is_passed_over),
    };
    option_set(OPTION_TCACHE_MAX, 0);
    tcache_set_limits();
    return UNIT_RUN(tests);
}
