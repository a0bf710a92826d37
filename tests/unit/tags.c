/*
 * tags.c - the table of pages that free asks first, and the heaps of which it
 * says nothing.
 */
#include "tags.h"

#include "unit.h"

#include "alloc.h"
#include "arenas.h"
#include "child.h"
#include "faulty_syscall.h"
#include "heap.h"
#include "inspect.h"
#include "owner.h"
#include "tcache.h"

enum {
    MANY = 3000,
};

static const struct faulty_plan no_unmapping = {
    .kinds = FAULTY_MUNMAP,
    .first = 1,
    .how_many = FAULTY_FOR_EVER,
};

static void *blocks[MANY];

static void must_be_sound(void)
{
    struct damage damage;
    MUST(inspect_everything(&damage));
}

/* Addresses outside of the window lie behind the table. */
static void the_window_lies_around_the_first_heap(void *unused)
{
    uintptr_t here = 0x7f0000000000;
    (void)unused;
    MUST(tags_place((void *)here) >= TAGS);
    tags_prepare((void *)here);
    MUST(tags_start == here - TAGS_BELOW);
    tags_prepare((void *)(here + HEAP_MAX_SIZE));
    MUST(tags_start == here - TAGS_BELOW);
    MUST(tags_place((void *)tags_start) == 0);
    MUST(tags_place((void *)(tags_start - 1)) >= TAGS);
    uintptr_t end = tags_start + ((uintptr_t)1 << TAGS_WINDOW_SHIFT);
    MUST(tags_place((void *)(end - 1)) == TAGS - 1);
    MUST(tags_place((void *)end) >= TAGS);
    MUST(tags_place(NULL) >= TAGS);
    MUST(tags_place((void *)UINTPTR_MAX) >= TAGS);
    MUST(tags_place((void *)((uintptr_t)1 << 63)) >= TAGS);
}

static void a_low_heap_has_a_window_too(void *unused)
{
    (void)unused;
    tags_prepare((void *)(2 * HEAP_MAX_SIZE));
    MUST(tags_start == HEAP_MAX_SIZE);
    MUST(tags_place((void *)(2 * HEAP_MAX_SIZE)) ==
         HEAP_MAX_SIZE >> TAG_PAGE_SHIFT);
}

static unsigned tag_of_page(const void *page)
{
    return tag_at(tags_place(page));
}

static void a_tag_is_of_one_page(void *unused)
{
    static const uint8_t bytes[] = {0, 7, 0x80, 64};
    char *heap = (char *)0x7f0000000000;
    (void)unused;
    tags_prepare(heap);
    tags_set_byte(heap, 9);
    MUST(tag_of_page(heap) == 0);
    tags_set(heap, bytes, count_of(bytes), 254);
    for (size_t i = 0; i < count_of(bytes); i++) {
        char *page = heap + i * RUN_SIZE;
        MUST(tag_of_page(page) == tag_of(254, bytes[i]));
        MUST(tag_of_page(page + RUN_SIZE - 1) == tag_of(254, bytes[i]));
        tags_set_byte(page, 33);
        MUST(tag_owner(tag_of_page(page)) == 254);
        MUST(tag_byte(tag_of_page(page)) == 33);
    }
    MUST(tag_of_page(heap - 1) == 0);
    MUST(tag_of_page(heap + count_of(bytes) * RUN_SIZE) == 0);
    tags_set(heap, bytes, count_of(bytes), 0);
    for (size_t i = 0; i < count_of(bytes); i++) {
        MUST(tag_of_page(heap + i * RUN_SIZE) == 0);
    }
}

/* What has no place is left out. */
static void outside_of_the_window_nothing_is_set(void *unused)
{
    static const uint8_t bytes[] = {1, 2, 3};
    char *heap = (char *)0x7f0000000000;
    (void)unused;
    tags_prepare(heap);
    char *end = (char *)tags_start + ((size_t)1 << TAGS_WINDOW_SHIFT);
    tags_set(end - RUN_SIZE, bytes, count_of(bytes), 5);
    MUST(tag_at(TAGS - 1) == tag_of(5, 1));
    tags_set(end, bytes, count_of(bytes), 5);
    tags_set_byte(end, 1);
    tags_set((char *)tags_start - RUN_SIZE, bytes, count_of(bytes), 5);
    tags_set_byte((char *)tags_start - RUN_SIZE, 1);
    MUST(tag_at(0) == 0);
}

static void a_heap_tags_what_it_commits(void *unused)
{
    (void)unused;
    struct heap *heap = heap_create(arena_numbered(1), 1, 1000, 1000);
    MUST(heap != NULL && heap->tagged >= heap->committed);
    MUST(tag_of_page(heap) == tag_of(1, RUN_WATCHED));
    size_t before = heap->tagged;
    MUST(before < HEAP_MAX_SIZE / 2);
    MUST(tag_of_page((char *)heap + before - 1) == tag_of(1, 0));
    MUST(tag_of_page((char *)heap + before) == 0);
    MUST(heap_grow(heap, 10 * RUN_SIZE, 10 * RUN_SIZE));
    MUST(heap->tagged >= before + 10 * RUN_SIZE);
    MUST(tag_of_page((char *)heap + heap->tagged - 1) == tag_of(1, 0));
    heap_watch_page(heap, (char *)heap + before, true);
    MUST(tag_of_page((char *)heap + before) == tag_of(1, RUN_WATCHED));
    size_t tagged = heap->tagged;
    faulty_use(&no_unmapping);
    MUST(!heap_destroy(heap));
    faulty_use(NULL);
    MUST(tag_of_page((char *)heap + before) == tag_of(1, RUN_WATCHED));
    MUST(tag_of_page((char *)heap + tagged - 1) == tag_of(1, 0));
    MUST(heap_destroy(heap));
    for (size_t i = 0; i < tagged; i += RUN_SIZE) {
        MUST(tag_of_page((char *)heap + i) == 0);
    }
}

static void must_have_owner(const struct heap *heap, unsigned owner)
{
    for (size_t i = 0; i < heap->tagged / RUN_SIZE; i++) {
        MUST(tag_of_page((const char *)heap + i * RUN_SIZE) ==
             tag_of(owner, heap->page_class[i]));
    }
}

/* With what it has, what it gets, and what it cannot get rid of. */
static void a_common_arenas_tags_say_so(void *unused)
{
    (void)unused;
    MUST(alloc_malloc(1000) != NULL);
    for (size_t i = 0; i < MANY; i++) {
        blocks[i] = alloc_malloc(64);
    }
    MUST(block_run_class(blocks[MANY - 1]) != 0);
    struct arena *arena = arena_numbered(1);
    struct heap *heap = arena->heaps;
    MUST(arena_acquire(arena));
    must_have_owner(heap, 1);
    MUST(tags_owner(1) == 1 && !arena_is_common(arena));
    arena_make_common(arena);
    MUST(tags_owner(1) == TAG_COMMON && arena_is_common(arena));
    must_have_owner(heap, TAG_COMMON);
    size_t before = heap->tagged;
    MUST(owner_of((char *)heap + before) == 1);
    heap_watch_page(heap, blocks[0], true);
    must_have_owner(heap, TAG_COMMON);
    heap_watch_page(heap, blocks[0], false);
    must_have_owner(heap, TAG_COMMON);
    arena_release(arena);
    must_be_sound();
    struct heap *other = heap_create(arena, 1, 1000, 1000);
    MUST(other != NULL && other->tagged > 0);
    must_have_owner(other, TAG_COMMON);
    before = other->tagged;
    MUST(heap_grow(other, 10 * RUN_SIZE, 10 * RUN_SIZE));
    MUST(other->tagged > before);
    must_have_owner(other, TAG_COMMON);
    faulty_use(&no_unmapping);
    MUST(!heap_destroy(other));
    faulty_use(NULL);
    must_have_owner(other, TAG_COMMON);
    before = other->tagged;
    MUST(heap_destroy(other));
    MUST(tag_of_page((char *)other + before - 1) == 0);
    MUST(tag_of_page(other) == 0);
}

/* A tag that says otherwise is damage. */
static void a_common_page_with_a_number_is_found(void *unused)
{
    struct damage damage;
    (void)unused;
    void *mem = alloc_malloc(1000);
    struct arena *arena = arena_numbered(1);
    MUST(arena_acquire(arena));
    arena_make_common(arena);
    arena_release(arena);
    must_be_sound();
    tags_set(mem, &arena->heaps->page_class[heap_page_of(mem)], 1, 1);
    MUST(!inspect_everything(&damage));
}

/* One that is no arena's takes nothing, and one that is takes what is that
 * arena's, and has objects or chunks. */
static void first_tags_match_their_owners_pages_alone(void *unused)
{
    static struct tcache cache;
    (void)unused;
    for (unsigned owner = 1; owner <= TAG_COMMON; owner++) {
        cache.first_tag = tag_of(owner, 1);
        for (unsigned tag = 0; tag <= UINT16_MAX; tag++) {
            size_t number = tcache_number_of(&cache, tag);
            bool is_ours = tag_owner(tag) == owner;
            MUST((number < RUN_CLASSES) ==
                 (is_ours && tag_byte(tag) - 1 < RUN_CLASSES));
            MUST((number == CHUNKS_NUMBER) == (is_ours && tag_byte(tag) == 0));
        }
    }
    for (unsigned tag = 0; tag <= UINT16_MAX; tag++) {
        size_t number = tcache_number_of(&tcache_none, tag);
        MUST(number >= RUN_CLASSES && number != CHUNKS_NUMBER);
        /* As an outbox counts. */
        uint32_t half = tag - (uint32_t)FIRST_TAG_NONE;
        MUST(half >= RUN_CLASSES && half != (uint32_t)CHUNKS_NUMBER);
    }
}

/* Of all sizes that caches take, objects and chunks. */
static size_t size_of(size_t i)
{
    return i % 3 == 0 ? 64 : i * 7 % 1500 + 1;
}

/* With all heaps far from the window each call does the same, by way of the
 * owner table. */
static void heaps_may_lie_far_from_the_window(void *unused)
{
    size_t objects = 0;
    (void)unused;
    tags_prepare((void *)(4 * HEAP_MAX_SIZE));
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            blocks[i] = alloc_malloc(size_of(i));
            MUST(blocks[i] != NULL && tags_place(blocks[i]) >= TAGS);
            objects += block_run_class(blocks[i]) != 0;
        }
        must_be_sound();
        for (size_t i = 0; i < MANY; i++) {
            bool is_object = block_run_class(blocks[i]) != 0;
            MUST(tcache_free(blocks[i]) ||
                 alloc_usable_size(blocks[i]) >= size_of(i));
            if (is_object ? object_is_marked(blocks[i])
                          : chunk_is_cached(mem2chunk(blocks[i]))) {
                MUST(!tcache_free(blocks[i]));
                continue;
            }
            alloc_free(blocks[i]);
        }
        must_be_sound();
    }
    MUST(objects > MANY);
    void *mem = alloc_malloc(1000);
    MUST(alloc_realloc(mem, 990) == mem);
    alloc_free(mem);
    MUST(alloc_malloc(1000) == mem);
    struct arena *arena = arena_numbered(1);
    MUST(arena_acquire(arena));
    arena_make_common(arena);
    arena_release(arena);
    must_be_sound();
    MUST(tag_owner(tcache_tag_of(mem)) == TAG_COMMON && !tcache_free(mem));
    void *next = alloc_malloc(200000);
    MUST(tcache_self()->first_tag == tag_of(TAG_COMMON, 1));
    MUST(tcache_free(mem));
    alloc_free(next);
    MUST(alloc_malloc(1000) == mem);
    must_be_sound();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_child(the_window_lies_around_the_first_heap),
        unit_test_in_child(a_low_heap_has_a_window_too),
        unit_test_in_child(a_tag_is_of_one_page),
        unit_test_in_child(outside_of_the_window_nothing_is_set),
        unit_test_in_child(a_heap_tags_what_it_commits),
        unit_test_in_child(a_common_arenas_tags_say_so),
        unit_test_in_child(a_common_page_with_a_number_is_found),
        unit_test_in_child(first_tags_match_their_owners_pages_alone),
        unit_test_in_child(heaps_may_lie_far_from_the_window),
    };
    return UNIT_RUN(tests);
}
