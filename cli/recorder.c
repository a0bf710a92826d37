/*
 * recorder.c - libptm-record.so: stands before any malloc and writes down what
 * is asked of it (trace.h). ptm record preloads it.
 *
 * It calls the malloc behind it by libc's inner names, which ptm has as well.
 * ptm has the C++ operators too, which do not come by malloc: so they are here.
 * What malloc has no memory for is ptm's operator's affair, which asks the
 * program's handler, and throws.
 * The process that PTM_RECORD_PROCESS names records into the file PTM_RECORD;
 * its children, and what they run, do not.
 *
 * A free is written down before it is done, an allocation after: so an address
 * that another thread gets next is written down by that thread later. What
 * cannot be recorded (no room on the disk) ends the recording, not the program.
 */
#define _GNU_SOURCE
#include "trace.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern void cfree(void *block);
extern void free_sized(void *block, size_t size);
extern void free_aligned_sized(void *block, size_t alignment, size_t size);

extern void *__libc_malloc(size_t size);
extern void __libc_free(void *block);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

enum { not_started, starting, recording, not_recording };
enum { idle_most = 4096 };

static int state = not_started;
static int file = -1;
static uint64_t next_order, next_chunk = 1;
static uint32_t lane_count;
static pthread_key_t end_of_thread;

/* Chunks of threads that have ended, for those to come. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct raw_chunk *idle[idle_most];
static unsigned idle_count;

static __thread struct raw_chunk *own
    __attribute__((tls_model("initial-exec")));
static __thread bool is_leaving __attribute__((tls_model("initial-exec")));

static void stop(void)
{
    __atomic_store_n(&state, not_recording, __ATOMIC_RELAXED);
}

static void *map_chunk(uint64_t number)
{
    off_t start = (off_t)(number * raw_chunk_size);
    void *chunk;

    if (syscall(SYS_fallocate, file, 0, start, (off_t)raw_chunk_size) != 0 &&
        ftruncate(file, start + raw_chunk_size) != 0)
        return NULL;
    chunk = mmap(NULL, raw_chunk_size, PROT_READ | PROT_WRITE, MAP_SHARED, file,
                 start);
    return chunk != MAP_FAILED ? chunk : NULL;
}

/* A chunk that goes on with the lane of a full one, or begins a lane. */
static struct raw_chunk *new_chunk(struct raw_chunk *full)
{
    uint32_t lane = full != NULL
                        ? full->lane
                        : __atomic_fetch_add(&lane_count, 1, __ATOMIC_RELAXED);
    struct raw_chunk *chunk =
        map_chunk(__atomic_fetch_add(&next_chunk, 1, __ATOMIC_RELAXED));

    if (full != NULL)
        munmap(full, raw_chunk_size);
    if (chunk == NULL)
        stop();
    else
        chunk->lane = lane;
    return chunk;
}

static struct raw_chunk *take_idle(void)
{
    struct raw_chunk *chunk = NULL;

    pthread_mutex_lock(&lock);
    if (idle_count > 0)
        chunk = idle[--idle_count];
    pthread_mutex_unlock(&lock);
    return chunk;
}

static void leave_chunk(struct raw_chunk *chunk)
{
    pthread_mutex_lock(&lock);
    if (idle_count < idle_most)
        idle[idle_count++] = chunk;
    pthread_mutex_unlock(&lock);
}

static void end_thread(void *unused)
{
    struct raw_chunk *chunk = own;

    (void)unused;
    is_leaving = true;
    own = NULL;
    if (chunk != NULL)
        leave_chunk(chunk);
}

/* Behind the first word; returns how many words the event has. */
static __attribute__((noinline)) uint32_t
write_rest(uint64_t *words, bool is_elsewhere, uint64_t order, uint64_t size)
{
    uint32_t count = 1;

    if (is_elsewhere)
        words[count++] = order;
    if (size >= raw_long)
        words[count++] = size;
    return count;
}

/* What is freed in a crime may be no address of a block: it is cut to look like
 * one. The count is written last, as the program may be killed at any time. */
static void write_event(struct raw_chunk *chunk, enum operation operation,
                        const void *address, uint64_t size)
{
    uint64_t order = __atomic_fetch_add(&next_order, 1, __ATOMIC_RELAXED);
    bool is_elsewhere = order != chunk->next_order;
    uint64_t shown = size < raw_long ? size : raw_long;
    uint64_t *words = &chunk->words[chunk->count];
    uint32_t count = 1;

    words[0] = ((uint64_t)(uintptr_t)address & RAW_ADDRESS) | operation |
               (is_elsewhere ? RAW_ORDER_FOLLOWS : 0) | shown << raw_size_shift;
    if (is_elsewhere || size >= raw_long)
        count = write_rest(words, is_elsewhere, order, size);
    chunk->next_order = order + 1;
    __atomic_store_n(&chunk->count, chunk->count + count, __ATOMIC_RELEASE);
}

static bool has_room(const struct raw_chunk *chunk)
{
    return chunk->count <= raw_words - raw_event_most;
}

static void note_in_some_chunk(enum operation operation, const void *address,
                               uint64_t size)
{
    struct raw_chunk *chunk = own;
    int error = errno;

    if (chunk == NULL) {
        chunk = take_idle();
        if (chunk == NULL)
            chunk = new_chunk(NULL);
        if (!is_leaving && chunk != NULL)
            pthread_setspecific(end_of_thread, &end_of_thread);
    }
    if (chunk != NULL && !has_room(chunk))
        chunk = new_chunk(chunk);
    if (chunk != NULL)
        write_event(chunk, operation, address, size);
    /* What a thread does after its end is behind all that could end it. */
    if (is_leaving && chunk != NULL)
        leave_chunk(chunk);
    else
        own = chunk;
    errno = error;
}

static void child_of_fork(void)
{
    stop();
}

static bool open_file(const char *path)
{
    struct raw_chunk *first;

    file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    first = map_chunk(0);
    if (first == NULL)
        return false;
    memcpy(first, RAW_MAGIC, raw_magic_size);
    munmap(first, raw_chunk_size);
    return true;
}

static bool is_to_record(void)
{
    const char *process = getenv("PTM_RECORD_PROCESS");

    return process != NULL && atol(process) == (long)getpid();
}

/* The environment is there when the loader has done; until then nothing is
 * recorded. */
static bool start(void)
{
    int expected = not_started;
    const char *path;

    if (environ == NULL ||
        !__atomic_compare_exchange_n(&state, &expected, starting, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    path = getenv("PTM_RECORD");
    if (path == NULL || !is_to_record() || !open_file(path) ||
        pthread_key_create(&end_of_thread, end_thread) != 0) {
        stop();
        return false;
    }
    pthread_atfork(NULL, NULL, child_of_fork);
    __atomic_store_n(&state, recording, __ATOMIC_RELEASE);
    return true;
}

static __attribute__((noinline)) void
note_slowly(enum operation operation, const void *address, uint64_t size)
{
    int now = __atomic_load_n(&state, __ATOMIC_ACQUIRE);

    if (now == recording || (now == not_started && start()))
        note_in_some_chunk(operation, address, size);
}

static inline void note(enum operation operation, const void *address,
                        uint64_t size)
{
    struct raw_chunk *chunk = own;

    if (chunk != NULL && has_room(chunk) &&
        __atomic_load_n(&state, __ATOMIC_RELAXED) == recording)
        write_event(chunk, operation, address, size);
    else
        note_slowly(operation, address, size);
}

/* ---- the functions that programs call ----------------------------------- */

EXPORT void *malloc(size_t size)
{
    void *block = __libc_malloc(size);

    if (block != NULL)
        note(op_malloc, block, size);
    return block;
}

EXPORT void free(void *block)
{
    if (block != NULL)
        note(op_free, block, 0);
    __libc_free(block);
}

EXPORT void *calloc(size_t count, size_t size)
{
    void *block = __libc_calloc(count, size);

    if (block != NULL)
        note(op_calloc, block, count * size);
    return block;
}

EXPORT void *realloc(void *block, size_t size)
{
    void *moved;

    if (block == NULL)
        return malloc(size);
    if (size == 0) {
        free(block);
        return NULL;
    }
    note(op_resize_from, block, 0);
    moved = __libc_realloc(block, size);
    note(op_resize, moved != NULL ? moved : block,
         moved != NULL ? size : RAW_FAILED);
    return moved;
}

EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    void *block = __libc_memalign(alignment, size);
    uint64_t shift =
        alignment > 1 ? 64u - (unsigned)__builtin_clzl(alignment - 1) : 0;

    if (block != NULL)
        note(op_aligned, block, size | shift << raw_alignment_shift);
    return block;
}

EXPORT void cfree(void *block)
{
    free(block);
}

EXPORT void free_sized(void *block, size_t size)
{
    (void)size;
    free(block);
}

EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    free(block);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    int error = errno;
    void *got;

    if (alignment % sizeof(void *) != 0 || alignment == 0 ||
        (alignment & (alignment - 1)) != 0)
        return EINVAL;
    got = memalign(alignment, size);
    errno = error;
    if (got == NULL)
        return ENOMEM;
    *block = got;
    return 0;
}

EXPORT void *valloc(size_t size)
{
    return memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

EXPORT void *pvalloc(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return memalign(page, (size + page - 1) & ~(page - 1));
}

/* ---- the C++ operators -------------------------------------------------- */

/* Out of memory: ptm's own operator. What its handler makes room for is
 * recorded here, as ptm does not call malloc. */
static void *note_new(void *block, size_t size)
{
    if (block != NULL)
        note(op_malloc, block, size);
    return block;
}

#define NEW(name)                                                              \
    EXPORT void *name(size_t size);                                            \
    EXPORT void *name(size_t size)                                             \
    {                                                                          \
        void *(*next)(size_t);                                                 \
        void *block = malloc(size);                                            \
                                                                               \
        if (block != NULL)                                                     \
            return block;                                                      \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                             \
        return note_new(next(size), size);                                     \
    }
#define NEW_ALIGNED(name)                                                      \
    EXPORT void *name(size_t size, size_t alignment);                          \
    EXPORT void *name(size_t size, size_t alignment)                           \
    {                                                                          \
        void *(*next)(size_t, size_t);                                         \
        void *block = memalign(alignment, size);                               \
                                                                               \
        if (block != NULL)                                                     \
            return block;                                                      \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                             \
        return note_new(next(size, alignment), size);                          \
    }
#define NEW_NOTHROW(name)                                                      \
    EXPORT void *name(size_t size, const void *nothrow);                       \
    EXPORT void *name(size_t size, const void *nothrow)                        \
    {                                                                          \
        void *(*next)(size_t, const void *);                                   \
        void *block = malloc(size);                                            \
                                                                               \
        if (block != NULL)                                                     \
            return block;                                                      \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                             \
        return note_new(next(size, nothrow), size);                            \
    }
#define NEW_ALIGNED_NOTHROW(name)                                              \
    EXPORT void *name(size_t size, size_t alignment, const void *nothrow);     \
    EXPORT void *name(size_t size, size_t alignment, const void *nothrow)      \
    {                                                                          \
        void *(*next)(size_t, size_t, const void *);                           \
        void *block = memalign(alignment, size);                               \
                                                                               \
        if (block != NULL)                                                     \
            return block;                                                      \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                             \
        return note_new(next(size, alignment, nothrow), size);                 \
    }
/* Whatever else they are told, they free. */
#define DELETE(name)                                                           \
    EXPORT void name(void *block);                                             \
    EXPORT void name(void *block)                                              \
    {                                                                          \
        free(block);                                                           \
    }

NEW(_Znwm)
NEW(_Znam)
NEW_ALIGNED(_ZnwmSt11align_val_t)
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)
DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE(_ZdlPvm)
DELETE(_ZdaPvm)
DELETE(_ZdlPvSt11align_val_t)
DELETE(_ZdaPvSt11align_val_t)
DELETE(_ZdlPvmSt11align_val_t)
DELETE(_ZdaPvmSt11align_val_t)
DELETE(_ZdlPvRKSt9nothrow_t)
DELETE(_ZdaPvRKSt9nothrow_t)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t)
