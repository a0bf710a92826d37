#include "alloc.h"

#include <string.h>

#include "arena.h"
#include "arenas.h"
#include "fatal.h"
#include "guard.h"
#include "harden.h"
#include "life.h"
#include "limit.h"
#include "mapped.h"
#include "options.h"
#include "os.h"
#include "owner.h"
#include "purge.h"
#include "quarantine.h"
#include "sweep.h"
#include "tcache.h"
#include "zero.h"

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
    if (unlikely(verdict == MAPPED_OVERRUN)) {
        die_of_pointer(mem, where, "bytes after the block overwritten");
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

/* A block of no bytes that the program hands in is one that is in use. */
static void verify_zero(const void *mem, bool is_live, const char *where)
{
    if (unlikely(!is_live)) {
        die_of_pointer(mem, where,
                       where == where_free ? "double free"
                                           : "use of a freed block");
    }
}

/* ---- allocating -------------------------------------------------------- */

/* A request, in the terms of the arenas. */
struct request {
    size_t bytes;      /* as asked for */
    size_t alignment;  /* a power of two, at least 16 */
    size_t chunk_size; /* for `bytes` */
    bool is_cached;    /* caches have a class for it */
};

static struct request make_request(size_t alignment, size_t bytes)
{
    struct request request = {
        .bytes = bytes,
        .alignment = alignment,
        .chunk_size = request_to_chunk_size(harden_request(bytes)),
    };
    if (alignment <= MALLOC_ALIGNMENT &&
        bytes < tcache_limit(&tcache_limits.cached_request)) {
        request.chunk_size = class_size(class_serving(request.chunk_size));
        request.is_cached = true;
    }
    return request;
}

/* The same for a thread that may have no arena yet, in a process that may not
 * have read its options, which say what to ask for. */
static struct request first_request(size_t alignment, size_t bytes)
{
    if (unlikely(arenas_thread_is_new())) {
        life_start_thread();
    }
    return make_request(alignment, bytes);
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

static void *take_chunk(struct arena *arena, const struct request *request)
{
    struct chunk *chunk =
        request->alignment <= MALLOC_ALIGNMENT
            ? _int_malloc(arena, request->chunk_size)
            : _int_memalign(arena, request->alignment, request->chunk_size);
    return chunk != NULL ? chunk2mem(chunk) : NULL;
}

static void *take_aligned(struct arena *arena, const struct request *request)
{
    void *mem =
        tcache_serves(arena)
            ? tcache_refill_aligned(arena, request->alignment, request->bytes)
            : NULL;
    return mem != NULL ? mem : take_chunk(arena, request);
}

static void *take_from(struct arena *arena, const struct request *request)
{
    if (request->alignment > MALLOC_ALIGNMENT) {
        return take_aligned(arena, request);
    }
    if (harden_is_on() && quarantine_stocks(request->chunk_size)) {
        return harden_take(arena, request->chunk_size);
    }
    return request->is_cached && tcache_serves(arena)
               ? tcache_refill(arena, request->bytes)
               : take_chunk(arena, request);
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

/* Whether the owner table and, of a chunk, its own flag and its heap's header
 * name this arena. */
static bool is_of_arena(const void *mem, const struct arena *arena)
{
    return owner_of(mem) == arena->number &&
           (block_run_class(mem) != 0 ||
            arena_for_chunk(mem2chunk(mem)) == arena);
}

/* From an arena, with the retries of the skeleton. What is known to be zero
 * is told under the lock, since the next victim overwrites it. */
static void *allocate_in_arenas(const struct request *request,
                                const char **zero_from)
{
    struct arena *arena = arena_for_thread();
    if (unlikely(arena == NULL)) {
        return NULL;
    }
    void *mem = take_from(arena, request);
    if (unlikely(mem == NULL)) {
        struct arena_tries tries = {.made_new = false};
        do {
            arena = follow(arena_get_retry(arena, &tries));
            mem = arena != NULL ? take_from(arena, request) : NULL;
        } while (arena != NULL && mem == NULL);
    }
    if (likely(arena != NULL)) {
        *zero_from = arena->zero_from;
        ptm_assert(is_of_arena(mem, arena));
        arena_note_live(arena);
        arena_release(arena);
    }
    return mem;
}

static void *allocate_mapping(const struct request *request,
                              const char **zero_from)
{
    bool is_zero;
    struct chunk *chunk =
        mapped_allocate(request->alignment, request->bytes, &is_zero);
    if (unlikely(chunk == NULL) && purge_for_memory(request->bytes)) {
        chunk = mapped_allocate(request->alignment, request->bytes, &is_zero);
    }
    if (unlikely(chunk == NULL)) {
        return NULL;
    }
    void *mem = chunk2mem(chunk);
    if (is_zero) {
        *zero_from = mem;
    }
    return mem;
}

/* At the end of what may have got memory from the kernel, which nobody has
 * touched yet. */
static void settle_growth(void)
{
    if (limit_is_due()) {
        purge_for_growth();
    }
}

/* Memory is out: what is kept back is given up. */
static void release_what_waits(void)
{
    tcache_flush();
    harden_release_own();
    purge_for_memory(0);
    for (unsigned number = 1; number <= arenas_count(); number++) {
        harden_release(arena_numbered(number));
    }
}

/* The block, and where its known zeroes begin. */
static void *allocate(const struct request *request, const char **zero_from)
{
    *zero_from = NULL;
    void *mem = NULL;
    tcache_tick();
    purge_tick();
    bool may_use_heap = fits_a_heap(request);
    bool tried_mapping = !may_use_heap || wants_mapping(request);
    if (unlikely(tried_mapping)) {
        mem = allocate_mapping(request, zero_from);
    }
    if (mem == NULL && may_use_heap) {
        mem = allocate_in_arenas(request, zero_from);
        if (unlikely(mem == NULL)) {
            release_what_waits();
            mem = allocate_in_arenas(request, zero_from);
        }
    }
    if (unlikely(mem == NULL) && !tried_mapping &&
        (request->bytes >= os_page_size() || !arenas_any_left())) {
        mem = allocate_mapping(request, zero_from);
    }
    if (harden_is_on() && mem != NULL && arena_of(mem) != NULL) {
        harden_mark(mem2chunk(mem), request->bytes);
    }
    settle_growth();
    return mem;
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
    struct request request = first_request(alignment, size);
    void *mem = allocate(&request, &zero_from);
    if (likely(mem != NULL)) {
        perturb_fresh(mem, size);
    }
    return mem;
}

static void *find_hardened(size_t size)
{
    purge_tick();
    void *mem = harden_find(size);
    if (likely(mem != NULL)) {
        perturb_fresh(mem, size);
    }
    return mem;
}

/* What costs little: a block of no bytes, or a larger one that the thread has
 * in its cache, or waiting in an outbox. */
static void *find_near(size_t size)
{
    if (unlikely(size == 0)) {
        return zero_allocate();
    }
    return harden_is_on() ? find_hardened(size) : tcache_malloc_near(size);
}

void *alloc_malloc_beyond_cache(size_t size)
{
    void *mem = find_near(size);
    return mem != NULL ? mem : allocate_and_perturb(MALLOC_ALIGNMENT, size);
}

void *alloc_malloc(size_t size)
{
    void *mem = tcache_malloc_behind_gate(size);
    return mem != NULL ? mem : alloc_malloc_beyond_cache(size);
}

void *alloc_memalign(size_t alignment, size_t size)
{
    ptm_assert(alignment > MALLOC_ALIGNMENT);
    void *mem = tcache_memalign(alignment, size);
    return mem != NULL ? mem : allocate_and_perturb(alignment, size);
}

void *alloc_in_arena(struct arena *arena, size_t alignment, size_t size)
{
    if (unlikely(arenas_thread_is_new())) {
        life_start_thread();
    }
    if (size >= HEAP_MAX_SIZE || alignment >= HEAP_MAX_SIZE ||
        !arena_acquire(arena)) {
        return NULL;
    }
    struct request request = {.alignment = alignment,
                              .chunk_size = request_to_chunk_size(size)};
    void *mem = fits_a_heap(&request) ? take_chunk(arena, &request) : NULL;
    arena_release(arena);
    settle_growth();
    if (mem != NULL) {
        perturb_fresh(mem, size);
    }
    return mem;
}

/* A block for what is to move out of an arena (NULL: from elsewhere): in the
 * same one if that is private, or anywhere. */
static void *allocate_for_move(struct arena *arena, size_t size)
{
    return unlikely(arena != NULL && arena->is_private)
               ? alloc_in_arena(arena, MALLOC_ALIGNMENT, size)
               : alloc_malloc(size);
}

/* How many of the first `size` bytes of a block may not be zero. */
static size_t bytes_to_clear(const char *mem, size_t size,
                             const char *zero_from)
{
    if (zero_from == NULL || zero_from >= mem + size) {
        return size;
    }
    return zero_from > mem ? (size_t)(zero_from - mem) : 0;
}

void *alloc_calloc_beyond_cache(size_t size)
{
    const char *zero_from;
    void *mem = find_near(size);
    if (mem != NULL) {
        return memset(mem, 0, size);
    }
    struct request request = first_request(MALLOC_ALIGNMENT, size);
    mem = allocate(&request, &zero_from);
    return likely(mem != NULL)
               ? memset(mem, 0, bytes_to_clear(mem, size, zero_from))
               : NULL;
}

void *alloc_calloc(size_t size)
{
    void *mem = tcache_malloc_behind_gate(size);
    return mem != NULL ? memset(mem, 0, size) : alloc_calloc_beyond_cache(size);
}

/* ---- freeing ----------------------------------------------------------- */

/* What can be told of a block without the lock. */
static void verify_block(const struct arena *arena, const void *mem,
                         const char *where)
{
    unsigned run_class = block_run_class(mem);
    if (run_class != 0) {
        object_verify(arena, run_class, mem, where);
    } else {
        chunk_verify_word(arena, mem2chunk(mem), where);
    }
}

static void free_chunk(struct arena *arena, struct chunk *chunk)
{
    if (harden_covers(arena)) {
        harden_size_of_mallocs(arena, chunk, where_free);
        harden_free(arena, chunk);
    } else {
        perturb_freed(chunk2mem(chunk), usable_size_of(chunk_size(chunk)));
        _int_free(arena, chunk);
    }
}

static void free_locked(struct arena *arena, void *mem)
{
    unsigned run_class = block_run_class(mem);
    if (run_class != 0) {
        object_verify(arena, run_class, mem, where_free);
        perturb_freed(mem, class_size(run_class));
        object_set_mark(mem);
        arena_free_objects(arena, run_class, &mem, 1, where_free);
    } else {
        chunk_verify(arena, mem2chunk(mem), where_free);
        free_chunk(arena, mem2chunk(mem));
    }
}

/* A block of an arena that was lost in a fork is left alone. */
static void free_in_arena(struct arena *arena, void *mem)
{
    if (likely(arena_acquire(arena))) {
        free_locked(arena, mem);
        sweep_excess(arena);
        arena_release(arena);
    }
    purge_tick();
}

/* Whether blocks like this are cached now. */
static bool is_cached_kind(const void *mem)
{
    unsigned run_class = block_run_class(mem);
    return run_class != 0
               ? run_class < tcache_low_limit(&tcache_limits.run_class)
               : chunk_low(mem2chunk(mem)) <
                     tcache_low_limit(&tcache_limits.low);
}

/* The fast path has refused the block: it is not sound, or has no slot. */
static bool free_into_cache(struct arena *arena, void *mem)
{
    if (!tcache_serves(arena) || !is_cached_kind(mem)) {
        return false;
    }
    verify_block(arena, mem, where_free);
    tcache_tick();
    tcache_overflow(mem);
    purge_tick();
    return true;
}

/* A block of new's is for delete to free, which makes it malloc's first. */
static void verify_kind_of_mapping(const void *mem, const char *where)
{
    struct mapped_block block;
    if (likely(!kinds_are_told) ||
        mapped_look(mem2chunk(mem), &block) != MAPPED_OK) {
        return;
    }
    if (unlikely(block.kind != KIND_MALLOC)) {
        harden_die_of_kind(mem, block.usable, block.kind, where);
    }
}

/* What no arena has: a block of no bytes, a guarded one, or a mapping. */
static void free_elsewhere(void *mem)
{
    if (guard_contains(mem)) {
        guard_free(mem, (struct call){0});
        return;
    }
    if (zero_contains(mem)) {
        verify_zero(mem, zero_free(mem), where_free);
    } else {
        verify_kind_of_mapping(mem, where_free);
        verify_mapping(mapped_free(mem2chunk(mem)), mem, where_free);
        purge_tick();
    }
}

void alloc_free_beyond_cache(void *mem)
{
    if (harden_is_on() ? harden_free_first(mem)
                       : tcache_free_remote_slowly(mem)) {
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
        free_elsewhere(mem);
    }
}

void alloc_free(void *mem)
{
    if (!tcache_free(mem)) {
        alloc_free_beyond_cache(mem);
    }
}

/* Of a block that the program hands in to `where`, after it has proven to be
 * one. */
static size_t verified_usable_size(const void *mem, const char *where)
{
    verify_alignment(mem, where);
    const struct arena *arena = arena_of(mem);
    size_t usable = 0;
    if (likely(arena != NULL)) {
        verify_block(arena, mem, where);
        return harden_covers(arena) && block_run_class(mem) == 0
                   ? harden_size(arena, mem2chunk(mem), where)
                   : block_usable_size(mem);
    }
    if (zero_contains(mem)) {
        verify_zero(mem, zero_is_live(mem), where);
        return 0;
    }
    if (guard_contains(mem)) {
        return guard_usable_size(mem, where);
    }
    verify_mapping(mapped_usable_size(mem2chunk(mem), &usable), mem, where);
    return usable;
}

size_t alloc_usable_size(const void *mem)
{
    return verified_usable_size(mem, where_usable_size);
}

/* A block may hold more than it was asked for, and much more when realloc has
 * made it smaller while memory was out: so only a size that it cannot hold
 * tells of a mistake. */
void alloc_verify_size(const void *mem, size_t size)
{
    size_t usable = verified_usable_size(mem, where_free);
    if (unlikely(size > usable)) {
        fatal_crime(&(struct crime){
            .where = where_free,
            .what = "block of another size",
            .address = mem,
            .size = usable,
            .arena = owner_of(mem),
        });
    }
}

/* ---- resizing ---------------------------------------------------------- */

/* What to ask for when a block is to hold `size` bytes: one that grows by a
 * little is likely to do so again. */
static size_t with_slack(size_t usable, size_t size)
{
    size_t more = usable + usable / REALLOC_SLACK_SHARE;
    if (harden_is_on()) {
        return size;
    }
    return size > usable && size < more &&
                   more < option_get(OPTION_MMAP_THRESHOLD)
               ? more
               : size;
}

/* NULL: out of memory, and the block is as it was. */
static void *move_block(struct arena *arena, void *mem, size_t usable,
                        size_t size)
{
    size_t wanted = with_slack(usable, size);
    void *moved = allocate_for_move(arena, wanted);
    if (unlikely(moved == NULL) && wanted > size) {
        moved = allocate_for_move(arena, size);
    }
    if (moved != NULL) {
        memcpy(moved, mem, min_size(usable, size));
        alloc_free(mem);
    }
    return moved;
}

/* The same, but a block that shrinks can stay. */
static void *move_or_keep(struct arena *arena, void *mem, size_t usable,
                          size_t size)
{
    void *moved = move_block(arena, mem, usable, size);
    return moved == NULL && size <= usable ? mem : moved;
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
    bool may_stay =
        size <= usable || arena->is_private || !wants_mapping(&request);
    bool done = may_stay && _int_resize(arena, chunk, request.chunk_size,
                                        min_size(wanted, CHUNK_SIZE_MAX));
    sweep_excess(arena);
    arena_release(arena);
    settle_growth();
    return done;
}

/* Not too small, nor much too large. */
static void *realloc_object(struct arena *arena, unsigned run_class, void *mem,
                            size_t size)
{
    object_verify(arena, run_class, mem, where_realloc);
    size_t usable = class_size(run_class);
    if (size <= usable && 2 * size > usable) {
        return mem;
    }
    return move_or_keep(arena, mem, usable, size);
}

/* A small block moves to another size of the cache; what it leaves behind is
 * whole. NULL, and nothing has happened: not small, not sound, or no memory,
 * on which a block that shrinks must not depend. */
static void *resize_by_moving(struct arena *arena, struct chunk *chunk,
                              size_t size)
{
    size_t usable = usable_size_of(chunk_size(chunk));
    if (min_size(usable, size) > REALLOC_COPY_MAX ||
        size >= tcache_limit(&tcache_limits.cached_request) ||
        arena->is_private || !chunk_next_looks_sound(arena, chunk)) {
        return NULL;
    }
    return move_block(arena, chunk2mem(chunk), usable, size);
}

static void *realloc_elsewhere(void *mem, size_t size)
{
    struct chunk *chunk = mem2chunk(mem);
    size_t usable = 0;
    if (zero_contains(mem)) {
        verify_zero(mem, zero_is_live(mem), where_realloc);
        return move_block(NULL, mem, 0, size);
    }
    if (guard_contains(mem)) {
        return move_or_keep(NULL, mem, guard_usable_size(mem, where_realloc),
                            size);
    }
    verify_kind_of_mapping(mem, where_realloc);
    verify_mapping(mapped_usable_size(chunk, &usable), mem, where_realloc);
    if (harden_is_on()) {
        return move_or_keep(NULL, mem, usable, size);
    }
    if (mapped_resize(&chunk, size) == MAPPED_OK) {
        settle_growth();
        return chunk2mem(chunk);
    }
    /* A block that shrinks can stay; one that grows may find room in an
     * arena. */
    return size <= usable ? mem : move_block(NULL, mem, usable, size);
}

void *alloc_realloc(void *mem, size_t size)
{
    verify_alignment(mem, where_realloc);
    struct arena *arena = arena_of(mem);
    if (unlikely(arena == NULL)) {
        return realloc_elsewhere(mem, size);
    }
    unsigned run_class = block_run_class(mem);
    if (run_class != 0) {
        return realloc_object(arena, run_class, mem, size);
    }
    struct chunk *chunk = mem2chunk(mem);
    chunk_verify_word(arena, chunk, where_realloc);
    if (harden_covers(arena)) {
        size_t had = harden_size_of_mallocs(arena, chunk, where_realloc);
        return move_or_keep(arena, mem, had, size);
    }
    void *moved = resize_by_moving(arena, chunk, size);
    if (moved != NULL) {
        return moved;
    }
    if (resize_in_arena(arena, chunk, size)) {
        return mem;
    }
    return move_or_keep(arena, mem, usable_size_of(chunk_size(chunk)), size);
}

/* ---- kinds --------------------------------------------------------------- */

static void change_kind_of_mapping(void *mem, enum block_kind from,
                                   enum block_kind to, const char *where)
{
    struct mapped_block block;
    if (mapped_look(mem2chunk(mem), &block) != MAPPED_OK) {
        return;
    }
    if (unlikely(from != KIND_ANY && block.kind != from)) {
        harden_die_of_kind(mem, block.usable, block.kind, where);
    }
    mapped_set_kind(mem2chunk(mem), to);
}

/* Blocks of runs, and of the program's own arenas, have none; nor have guarded
 * ones, nor those of no bytes. What is no sound block is for free to find. */
void kind_change(void *mem, enum block_kind from, enum block_kind to,
                 const char *where)
{
    struct arena *arena = arena_of(mem);
    if ((uintptr_t)mem % MALLOC_ALIGNMENT != 0) {
        return;
    }
    if (arena == NULL) {
        change_kind_of_mapping(mem, from, to, where);
    } else if (harden_covers(arena) && block_run_class(mem) == 0 &&
               chunk_looks_in_use(arena, mem2chunk(mem))) {
        harden_change_kind(arena, mem2chunk(mem), from, to, where);
    }
}
