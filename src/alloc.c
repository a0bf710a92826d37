#include "alloc.h"

#include <string.h>

#include "arena.h"
#include "arenas.h"
#include "fatal.h"
#include "life.h"
#include "mapped.h"
#include "options.h"
#include "os.h"
#include "owner.h"
#include "tcache.h"

/* ---- crimes ------------------------------------------------------------ */

_Noreturn PTM_COLD static void
die_of_pointer(const void *mem, const char *where, const char *what)
{
    fatal_crime(&(struct crime){
        .where = where,
        .what = what,
        .address = mem,
        .arena = owner_of(mem),
    });
}

static void verify_alignment(const void *mem, const char *where)
{
    if (unlikely((uintptr_t)mem % MALLOC_ALIGNMENT != 0)) {
        fatal_crime(&(struct crime){
            .where = where, .what = "misaligned pointer", .address = mem});
    }
}

/* The arena in whose heap this address can be a block, or NULL. */
static struct arena *arena_of(const void *mem)
{
    unsigned number = owner_of(mem);
    if (unlikely(number == 0) ||
        unlikely(!heap_contains(heap_for_ptr(mem), mem2chunk(mem)))) {
        return NULL;
    }
    return arena_numbered(number);
}

static void verify_mapping(enum mapped_verdict verdict, const void *mem,
                           const char *where)
{
    if (unlikely(verdict == MAPPED_UNKNOWN)) {
        die_of_pointer(mem, where, "not a block of malloc");
    }
    if (unlikely(verdict == MAPPED_DESTROYED)) {
        fatal_crime(&(struct crime){
            .where = where,
            .what = "destroyed size word",
            .address = mem,
            .word = chunk_word(mem2chunk(mem)),
            .has_word = true,
        });
    }
}

/* ---- allocating -------------------------------------------------------- */

/* A request, in the terms of the arenas. */
struct request {
    size_t bytes;        /* as asked for */
    size_t alignment;    /* a power of two, at least 16 */
    size_t chunk_size;   /* for `bytes` */
    unsigned size_class; /* that caches serve it by; 0: none */
};

static struct request make_request(size_t alignment, size_t bytes)
{
    struct request request = {
        .bytes = bytes,
        .alignment = alignment,
        .chunk_size = request_to_chunk_size(bytes),
    };
    if (alignment <= MALLOC_ALIGNMENT &&
        bytes < tcache_limit(&tcache_limits.request)) {
        request.size_class = class_serving(request.chunk_size);
        request.chunk_size = class_size(request.size_class);
    }
    return request;
}

static bool fits_a_heap(const struct request *request)
{
    return request->chunk_size + request->alignment + 2 * MIN_CHUNK_SIZE <=
               CHUNK_SIZE_MAX &&
           request->alignment < HEAP_MAX_SIZE;
}

static bool wants_mapping(const struct request *request)
{
    size_t span = request->bytes;
    if (request->alignment > os_page_size()) {
        span = max_size(span, request->alignment);
    }
    return span >= option_get(OPTION_MMAP_THRESHOLD) &&
           mapped_count() < option_get(OPTION_MMAP_MAX);
}

static struct chunk *take_from(struct arena *arena,
                               const struct request *request)
{
    if (request->size_class != 0 && tcache_serves(arena)) {
        return tcache_refill(arena, request->size_class);
    }
    return request->alignment <= MALLOC_ALIGNMENT
               ? _int_malloc(arena, request->chunk_size)
               : _int_memalign(arena, request->alignment, request->chunk_size);
}

/* The thread may have come to another arena: its cache goes with it. */
static struct arena *follow(struct arena *arena)
{
    if (arena != NULL && arena == arenas_attached()) {
        tcache_follow(arena);
    }
    return arena;
}

/* The arena that serves this thread, locked. NULL only in a child whose
 * arenas were all lost to fork and that can make no other. */
static struct arena *arena_for_thread(void)
{
    struct arena *arena = arena_get();
    return follow(likely(arena != NULL) ? arena : arena_get2(NULL));
}

/* From an arena, with the retries of the skeleton. What is known to be zero
 * is told under the lock, since the next victim overwrites it. */
static struct chunk *allocate_in_arenas(const struct request *request,
                                        const char **zero_from)
{
    struct arena *arena = arena_for_thread();
    if (unlikely(arena == NULL)) {
        return NULL;
    }
    struct chunk *chunk = take_from(arena, request);
    if (unlikely(chunk == NULL)) {
        struct arena_tries tries = {.made_new = false};
        do {
            arena = follow(arena_get_retry(arena, &tries));
            chunk = arena != NULL ? take_from(arena, request) : NULL;
        } while (arena != NULL && chunk == NULL);
    }
    if (likely(arena != NULL)) {
        *zero_from = arena->zero_from;
        ptm_assert(arena_for_chunk(chunk) == arena);
        arena_release(arena);
    }
    return chunk;
}

static struct chunk *allocate_mapping(const struct request *request,
                                      const char **zero_from)
{
    bool is_zero;
    struct chunk *chunk =
        mapped_allocate(request->alignment, request->bytes, &is_zero);
    if (unlikely(chunk == NULL) && mapped_trim()) {
        chunk = mapped_allocate(request->alignment, request->bytes, &is_zero);
    }
    if (chunk != NULL && is_zero) {
        *zero_from = chunk2mem(chunk);
    }
    return chunk;
}

/* The block, and where its known zeroes begin. */
static struct chunk *allocate(const struct request *request,
                              const char **zero_from)
{
    *zero_from = NULL;
    struct chunk *chunk = NULL;
    if (unlikely(arenas_thread_is_new())) {
        life_start_thread();
    }
    tcache_tick();
    bool may_use_heap = fits_a_heap(request);
    bool tried_mapping = !may_use_heap || wants_mapping(request);
    if (unlikely(tried_mapping)) {
        chunk = allocate_mapping(request, zero_from);
    }
    if (chunk == NULL && may_use_heap) {
        chunk = allocate_in_arenas(request, zero_from);
        if (unlikely(chunk == NULL)) {
            mapped_trim();
            tcache_flush();
            chunk = allocate_in_arenas(request, zero_from);
        }
    }
    if (unlikely(chunk == NULL) && !tried_mapping &&
        (request->bytes >= os_page_size() || !arenas_any_left())) {
        chunk = allocate_mapping(request, zero_from);
    }
    return chunk;
}

/* M_PERTURB: fresh memory is filled with the complement of the byte, freed
 * memory with the byte. */
static void perturb_fresh(void *mem, size_t bytes)
{
    size_t byte = option_get(OPTION_PERTURB);
    if (unlikely(byte != 0)) {
        memset(mem, (int)(byte ^ 0xff), bytes);
    }
}

static void perturb_freed(void *mem, size_t bytes)
{
    size_t byte = option_get(OPTION_PERTURB);
    if (unlikely(byte != 0)) {
        memset(mem, (int)byte, bytes);
    }
}

static void *allocate_and_perturb(size_t alignment, size_t size)
{
    const char *zero_from;
    struct request request = make_request(alignment, size);
    struct chunk *chunk = allocate(&request, &zero_from);
    if (unlikely(chunk == NULL)) {
        return NULL;
    }
    perturb_fresh(chunk2mem(chunk), size);
    return chunk2mem(chunk);
}

void *alloc_malloc_beyond_cache(size_t size)
{
    void *mem = tcache_malloc_near(size);
    return mem != NULL ? mem : allocate_and_perturb(MALLOC_ALIGNMENT, size);
}

void *alloc_malloc(size_t size)
{
    void *mem = tcache_malloc(size);
    return mem != NULL ? mem : alloc_malloc_beyond_cache(size);
}

void *alloc_memalign(size_t alignment, size_t size)
{
    ptm_assert(alignment > MALLOC_ALIGNMENT);
    return allocate_and_perturb(alignment, size);
}

/* How many of the first `size` bytes of a block may not be zero. */
static size_t bytes_to_clear(const struct chunk *chunk, size_t size,
                             const char *zero_from)
{
    const char *mem = chunk2mem(chunk);
    if (zero_from == NULL || zero_from >= mem + size) {
        return size;
    }
    return zero_from > mem ? (size_t)(zero_from - mem) : 0;
}

void *alloc_calloc_beyond_cache(size_t size)
{
    const char *zero_from;
    void *mem = tcache_malloc_near(size);
    if (mem != NULL) {
        return memset(mem, 0, size);
    }
    struct request request = make_request(MALLOC_ALIGNMENT, size);
    struct chunk *chunk = allocate(&request, &zero_from);
    if (unlikely(chunk == NULL)) {
        return NULL;
    }
    memset(chunk2mem(chunk), 0, bytes_to_clear(chunk, size, zero_from));
    return chunk2mem(chunk);
}

void *alloc_calloc(size_t size)
{
    void *mem = tcache_malloc(size);
    return mem != NULL ? memset(mem, 0, size) : alloc_calloc_beyond_cache(size);
}

/* ---- freeing ----------------------------------------------------------- */

/* A block of an arena that was lost in a fork is left alone. */
static void free_in_arena(struct arena *arena, void *mem)
{
    struct chunk *chunk = mem2chunk(mem);
    if (unlikely(!arena_acquire(arena))) {
        return;
    }
    chunk_verify(arena, chunk, where_free);
    perturb_freed(mem, usable_size_of(chunk_size(chunk)));
    _int_free(arena, chunk);
    arena_release(arena);
}

/* The fast path has refused the block: it is not sound, or has no slot. */
static bool free_into_cache(struct arena *arena, void *mem)
{
    struct chunk *chunk = mem2chunk(mem);
    if (!tcache_serves(arena) ||
        chunk_low(chunk) >= tcache_low_limit(&tcache_limits.low)) {
        return false;
    }
    chunk_verify_word(arena, chunk, where_free);
    tcache_tick();
    tcache_overflow(chunk);
    return true;
}

void alloc_free_beyond_cache(void *mem)
{
    if (tcache_free_remote_slowly(mem)) {
        return;
    }
    if (unlikely(arenas_thread_is_new())) {
        /* It may go on to free what others have allocated. */
        life_start_thread();
    }
    verify_alignment(mem, where_free);
    struct arena *arena = arena_of(mem);
    if (likely(arena != NULL) && free_into_cache(arena, mem)) {
        return;
    }
    if (likely(arena != NULL)) {
        free_in_arena(arena, mem);
    } else {
        verify_mapping(mapped_free(mem2chunk(mem)), mem, where_free);
    }
}

void alloc_free(void *mem)
{
    if (!tcache_free(mem) && !tcache_free_remote(mem)) {
        alloc_free_beyond_cache(mem);
    }
}

size_t alloc_usable_size(const void *mem)
{
    verify_alignment(mem, where_usable_size);
    struct chunk *chunk = mem2chunk(mem);
    const struct arena *arena = arena_of(mem);
    if (likely(arena != NULL)) {
        chunk_verify_word(arena, chunk, where_usable_size);
        return usable_size_of(chunk_size(chunk));
    }
    size_t usable = 0;
    verify_mapping(mapped_usable_size(chunk, &usable), mem, where_usable_size);
    return usable;
}

/* ---- resizing ---------------------------------------------------------- */

/* What to ask for when a block is to hold `size` bytes: one that grows by a
 * little is likely to do so again. */
static size_t with_slack(size_t usable, size_t size)
{
    size_t more = usable + usable / REALLOC_SLACK_SHARE;
    return size > usable && size < more &&
                   more < option_get(OPTION_MMAP_THRESHOLD)
               ? more
               : size;
}

/* NULL: out of memory, and the block is as it was. */
static void *move_block(void *mem, size_t usable, size_t size)
{
    size_t wanted = with_slack(usable, size);
    void *moved = alloc_malloc(wanted);
    if (unlikely(moved == NULL) && wanted > size) {
        moved = alloc_malloc(size);
    }
    if (moved != NULL) {
        memcpy(moved, mem, min_size(usable, size));
        alloc_free(mem);
    }
    return moved;
}

/* A block that has become large enough for a mapping of its own moves there
 * once, and from then on grows by mremap. */
static bool resize_in_arena(struct arena *arena, struct chunk *chunk,
                            size_t size)
{
    struct request request = make_request(MALLOC_ALIGNMENT, size);
    request.chunk_size = request_to_chunk_size(size);
    if (!fits_a_heap(&request) || !arena_acquire(arena)) {
        return false;
    }
    chunk_verify(arena, chunk, where_realloc);
    size_t usable = usable_size_of(chunk_size(chunk));
    size_t wanted = request_to_chunk_size(with_slack(usable, size));
    bool may_stay = size <= usable || !wants_mapping(&request);
    bool done = may_stay && _int_resize(arena, chunk, request.chunk_size,
                                        min_size(wanted, CHUNK_SIZE_MAX));
    arena_release(arena);
    return done;
}

/* A small block moves to another size of the cache; what it leaves behind is
 * whole. NULL, and nothing has happened: not small, not sound, or no memory,
 * on which a block that shrinks must not depend. */
static void *resize_by_moving(const struct arena *arena, struct chunk *chunk,
                              size_t size)
{
    size_t usable = usable_size_of(chunk_size(chunk));
    if (min_size(usable, size) > REALLOC_COPY_MAX ||
        size >= tcache_limit(&tcache_limits.request) ||
        !chunk_next_looks_sound(arena, chunk)) {
        return NULL;
    }
    return move_block(chunk2mem(chunk), usable, size);
}

static void *realloc_mapped(void *mem, size_t size)
{
    struct chunk *chunk = mem2chunk(mem);
    size_t usable = 0;
    verify_mapping(mapped_usable_size(chunk, &usable), mem, where_realloc);
    if (mapped_resize(&chunk, size) == MAPPED_OK) {
        return chunk2mem(chunk);
    }
    /* A block that shrinks can stay; one that grows may find room in an
     * arena. */
    return size <= usable ? mem : move_block(mem, usable, size);
}

void *alloc_realloc(void *mem, size_t size)
{
    verify_alignment(mem, where_realloc);
    struct arena *arena = arena_of(mem);
    if (unlikely(arena == NULL)) {
        return realloc_mapped(mem, size);
    }
    struct chunk *chunk = mem2chunk(mem);
    chunk_verify_word(arena, chunk, where_realloc);
    void *moved = resize_by_moving(arena, chunk, size);
    if (moved != NULL) {
        return moved;
    }
    if (resize_in_arena(arena, chunk, size)) {
        return mem;
    }
    return move_block(mem, usable_size_of(chunk_size(chunk)), size);
}
