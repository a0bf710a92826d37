/*
 * floor.c - how cheap malloc could be: an allocator for the bench only.
 *
 * It does the least that a correct program needs and nothing for an incorrect
 * one, nor for memory: no checks, no headers, no merging, nothing goes back to
 * the kernel. What it costs is the floor under the times of the others; its
 * memory is no measure for anyone.
 *
 *   1. One huge reservation. Its pages of 64 KiB are handed out by bumping a
 *      pointer, and class_of_page[] says which class a page holds; so free
 *      finds the class of a block without reading the block.
 *   2. Classes: four for each doubling; up to 32 KiB a page is cut into
 *      blocks, above it a block is a run of pages.
 *   3. A thread has two lists of each class, `current` and `previous`. malloc
 *      pops current, free pushes it. One list holds a batch at most; when
 *      both are full, one goes to the class's shared stack of batches, and
 *      when both are empty, one comes from there. (Bonwick's magazines; with
 *      bare lists only, a consumer would pile up what a producer lacks.)
 *   4. The lists of a thread that ends are the next new thread's.
 *
 *   base          64 KiB
 *    |--- page ---|--- page ---|------ run of pages ------|--- not yet ---->
 *     [b][b][b]..   [ b ][ b ]   [        one block       ] ^ next_page
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

enum {
    PAGE_SHIFT = 16,
    PAGE_SIZE = 1 << PAGE_SHIFT,
    SMALL_MAX = 32768, /* two blocks of the largest small class in a page */
    CLASSES = 160,     /* enough for the reservation's size */
    MOST_IN_BATCH = 64,
};

#define RESERVATION ((size_t)256 << 30)
#define PAGES       (RESERVATION >> PAGE_SHIFT)

/* In a free block. The first of a batch on the stack also has the link to the
 * next batch; the smallest class has room for both. */
struct block {
    struct block *next;
    struct block *next_batch;
};

/* A thread's blocks of one class: `room` more fit into current, of which the
 * batch of the class has `batch` in all. */
struct list {
    struct block *current;
    struct block *previous; /* a whole batch or NULL */
    uint32_t room;
    uint32_t batch;
    char *fresh, *fresh_end; /* the rest of a page, not cut yet */
};

struct cache {
    struct list lists[CLASSES];
    struct cache *next; /* among those without a thread */
};

static struct {
    char *base;
    unsigned char *class_of_page;
    size_t next_page; /* bumped atomically */
    pthread_key_t key;
    int locked; /* guards what follows */
    struct cache *orphans;
    struct block *batches[CLASSES];
} global;

static __thread struct cache *own __attribute__((tls_model("initial-exec")));

static void lock(void)
{
    while (__atomic_exchange_n(&global.locked, 1, __ATOMIC_ACQUIRE) != 0) {
        sched_yield();
    }
}

static void unlock(void)
{
    __atomic_store_n(&global.locked, 0, __ATOMIC_RELEASE);
}

/* ------------------------------------------------------------------------
 * Classes: 16, 32, 48, 64, then 80, 96, 112, 128, 160, 192, 224, 256, ... */

static inline unsigned class_of_size(size_t size)
{
    if (size <= 64) {
        return size == 0 ? 0 : (unsigned)((size - 1) >> 4);
    }
    unsigned octave = 63u - (unsigned)__builtin_clzl(size - 1);
    return (octave - 6) * 4 + 4 + (unsigned)(((size - 1) >> (octave - 2)) & 3);
}

static inline size_t size_of_class(unsigned kind)
{
    if (kind < 4) {
        return ((size_t)kind + 1) << 4;
    }
    return (size_t)(4 + (kind & 3) + 1) << (kind / 4 - 1 + 4);
}

static inline unsigned class_of_block(const void *block)
{
    return global.class_of_page[(size_t)((const char *)block - global.base) >>
                                PAGE_SHIFT];
}

/* ------------------------------------------------------------------------
 * Starting, and threads that come and go. */

static void *reserve(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void orphan_cache(void *cache_of_thread)
{
    struct cache *cache = cache_of_thread;
    own = NULL;
    lock();
    cache->next = global.orphans;
    global.orphans = cache;
    unlock();
}

/* Runs before the second thread exists: whoever creates it has allocated. */
static void start(void)
{
    char *memory = reserve(RESERVATION + PAGE_SIZE);
    global.class_of_page = reserve(PAGES);
    if (memory == NULL || global.class_of_page == NULL ||
        pthread_key_create(&global.key, orphan_cache) != 0) {
        abort();
    }
    global.base = memory + (-(uintptr_t)memory & (PAGE_SIZE - 1));
}

static struct cache *cache_new(void)
{
    struct cache *cache = reserve(sizeof *cache);
    if (cache == NULL) {
        abort();
    }
    for (unsigned kind = 0; kind < CLASSES; kind++) {
        size_t blocks = PAGE_SIZE / size_of_class(kind) / 4;
        uint32_t batch =
            blocks > MOST_IN_BATCH ? MOST_IN_BATCH : (uint32_t)blocks;
        cache->lists[kind].batch = batch == 0 ? 1 : batch;
        cache->lists[kind].room = cache->lists[kind].batch;
    }
    return cache;
}

static struct cache *attach(void)
{
    if (global.base == NULL) {
        start();
    }
    lock();
    struct cache *cache = global.orphans;
    if (cache != NULL) {
        global.orphans = cache->next;
    }
    unlock();
    own = cache != NULL ? cache : cache_new();
    pthread_setspecific(global.key, own);
    return own;
}

/* ------------------------------------------------------------------------
 * Pages. */

static char *take_pages(size_t pages, unsigned kind)
{
    size_t first =
        __atomic_fetch_add(&global.next_page, pages, __ATOMIC_RELAXED);
    if (first + pages > PAGES || kind >= CLASSES) {
        return NULL;
    }
    global.class_of_page[first] = (unsigned char)kind;
    return global.base + (first << PAGE_SHIFT);
}

/* A block that never was one; cut lazily, so that no page is touched early. */
static void *take_fresh(struct list *list, unsigned kind)
{
    size_t size = size_of_class(kind);
    if (size > SMALL_MAX) {
        return take_pages((size + PAGE_SIZE - 1) >> PAGE_SHIFT, kind);
    }
    if ((size_t)(list->fresh_end - list->fresh) < size) {
        char *page = take_pages(1, kind);
        if (page == NULL) {
            return NULL;
        }
        list->fresh = page;
        list->fresh_end = page + PAGE_SIZE;
    }
    void *block = list->fresh;
    list->fresh += size;
    return block;
}

/* ------------------------------------------------------------------------
 * The two lists and the stack of batches. */

static struct block *pop_batch(unsigned kind)
{
    if (__atomic_load_n(&global.batches[kind], __ATOMIC_RELAXED) == NULL) {
        return NULL;
    }
    lock();
    struct block *batch = global.batches[kind];
    if (batch != NULL) {
        __atomic_store_n(&global.batches[kind], batch->next_batch,
                         __ATOMIC_RELAXED);
    }
    unlock();
    return batch;
}

static void push_batch(unsigned kind, struct block *batch)
{
    lock();
    batch->next_batch = global.batches[kind];
    __atomic_store_n(&global.batches[kind], batch, __ATOMIC_RELAXED);
    unlock();
}

/* `zeroed` tells calloc that the block is fresh. */
static __attribute__((noinline)) void *allocate_slowly(unsigned kind,
                                                       int *zeroed)
{
    struct cache *cache = own != NULL ? own : attach();
    struct list *list = &cache->lists[kind];
    *zeroed = 0;
    if (list->current == NULL) {
        list->current = list->previous;
        list->previous = NULL;
        if (list->current == NULL) {
            list->current = pop_batch(kind);
        }
        list->room = list->current != NULL ? 0 : list->batch;
    }
    struct block *block = list->current;
    if (block == NULL) {
        *zeroed = 1;
        return take_fresh(list, kind);
    }
    list->current = block->next;
    list->room++;
    return block;
}

static __attribute__((noinline)) void free_slowly(struct block *block,
                                                  unsigned kind)
{
    struct cache *cache = own != NULL ? own : attach();
    struct list *list = &cache->lists[kind];
    if (list->room == 0) {
        if (list->previous != NULL) {
            push_batch(kind, list->previous);
        }
        list->previous = list->current;
        list->current = NULL;
        list->room = list->batch;
    }
    block->next = list->current;
    list->current = block;
    list->room--;
}

static inline void *allocate(unsigned kind, int *zeroed)
{
    struct cache *cache = own;
    if (LIKELY(cache != NULL)) {
        struct list *list = &cache->lists[kind];
        struct block *block = list->current;
        if (LIKELY(block != NULL)) {
            list->current = block->next;
            list->room++;
            *zeroed = 0;
            return block;
        }
    }
    return allocate_slowly(kind, zeroed);
}

/* ------------------------------------------------------------------------
 * The names that programs call. */

void *malloc(size_t size)
{
    int zeroed;
    if (UNLIKELY(size > RESERVATION / 2)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = allocate(class_of_size(size), &zeroed);
    if (UNLIKELY(block == NULL)) {
        errno = ENOMEM;
    }
    return block;
}

void free(void *memory)
{
    if (UNLIKELY(memory == NULL)) {
        return;
    }
    struct block *block = memory;
    unsigned kind = class_of_block(block);
    struct cache *cache = own;
    if (LIKELY(cache != NULL && cache->lists[kind].room != 0)) {
        struct list *list = &cache->lists[kind];
        block->next = list->current;
        list->current = block;
        list->room--;
        return;
    }
    free_slowly(block, kind);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    int zeroed;
    if (__builtin_mul_overflow(count, size, &bytes) ||
        bytes > RESERVATION / 2) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = allocate(class_of_size(bytes), &zeroed);
    if (block == NULL) {
        errno = ENOMEM;
    } else if (!zeroed) {
        memset(block, 0, bytes);
    }
    return block;
}

size_t malloc_usable_size(void *block)
{
    return block == NULL ? 0 : size_of_class(class_of_block(block));
}

void *realloc(void *old, size_t size)
{
    if (old == NULL) {
        return malloc(size);
    }
    if (size == 0) {
        free(old);
        return NULL;
    }
    size_t room = malloc_usable_size(old);
    if (size <= room && size > room / 2) {
        return old;
    }
    void *block = malloc(size);
    if (block != NULL) {
        memcpy(block, old, size < room ? size : room);
        free(old);
    }
    return block;
}

/* A power of two is a class of its own and divides the page, so its blocks
 * are aligned to themselves; beyond a page, runs of pages are aligned by
 * asking for more than is needed, and that much is lost. */
void *aligned_alloc(size_t alignment, size_t size)
{
    if (alignment <= 16) {
        return malloc(size);
    }
    size_t power = alignment;
    while (power < size) {
        power *= 2;
    }
    if (power <= SMALL_MAX || alignment <= PAGE_SIZE) {
        return malloc(power <= SMALL_MAX ? power : size | (SMALL_MAX + 1));
    }
    unsigned kind = class_of_size(size > SMALL_MAX ? size : SMALL_MAX + 1);
    size_t pages =
        (size_of_class(kind) + alignment + PAGE_SIZE - 1) >> PAGE_SHIFT;
    char *run = take_pages(pages, kind);
    if (run == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    run += -(uintptr_t)run & (alignment - 1);
    global.class_of_page[(size_t)(run - global.base) >> PAGE_SHIFT] =
        (unsigned char)kind;
    return run;
}

void *memalign(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
    int before = errno;
    void *block = aligned_alloc(alignment, size);
    errno = before;
    if (block == NULL) {
        return ENOMEM;
    }
    *result = block;
    return 0;
}

void *valloc(size_t size)
{
    return aligned_alloc((size_t)sysconf(_SC_PAGESIZE), size);
}

void *pvalloc(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return aligned_alloc(page, (size + page - 1) & ~(page - 1));
}
