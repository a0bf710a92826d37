/*
 * held.c - what a program asks for, and what its malloc holds for that.
 *
 *   LD_PRELOAD="libheld.so ALLOCATOR.so" HELD_FOLDER=folder PROGRAM
 *
 * Stands in front of the allocator and forwards each call to it. Of each live
 * block it keeps the size that was asked for and the size that malloc tells
 * of it. Whenever the program has asked for more than ever before, by 1 % and
 * 4 KiB, it looks at the process's anonymous memory and writes all of it to
 * folder/PID, over what it wrote before: the file tells of the last peak, and
 * is whole however the program ends.
 *
 *   1. A look is not taken in the call that crosses the mark but in the one
 *      after it, when the program has had time to fill its block.
 *   2. Nothing here allocates. The table is mapped and touched before the first
 *      block; so it is part of `before`, which is taken off.
 *   3. Shards of the table have a lock each. Those of an address are found by
 *      a hash of it; within, open addressing, with no tombstones.
 *   4. An entry goes before its block is freed: once it is, another thread may
 *      get it.
 *
 *   table    shard 0             shard 1           ...   shard 63
 *           | . e e . e . . e | e . . . . e e .  | ... |            |
 *
 * To be loaded before all others (-z initfirst), so that what an allocator
 * touches as it is loaded is its own. C++'s operators are here too, since those
 * of an allocator would not come by.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SHARD_BITS = 6,
    SHARDS = 1 << SHARD_BITS,
    SLOT_BITS = 16,
    SLOTS = 1 << SLOT_BITS,
    MOST_IN_SHARD = SLOTS / 8 * 7,
    BANDS = 3,
    LEAST_STEP = 4096,
    SHARE_STEP = 100,
    PAGE = 4096,
};

struct entry {
    uintptr_t address; /* 0: none */
    size_t asked, usable;
};

/* Sums of live blocks; atomic. */
struct band {
    size_t asked, usable, blocks;
    size_t in_16s; /* what was asked for, each rounded up to 16 bytes */
};

struct shard {
    _Alignas(64) bool locked;
    size_t used;
    struct entry *entries;
};

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void *(*memalign)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    size_t (*usable)(void *);
    struct mallinfo2 (*info)(void); /* NULL: the allocator has none */
} real;

static struct {
    enum { ASLEEP, WAKING, AWAKE } state; /* by the first thread, at start */
    char folder[512];                     /* "": nothing is written */
    struct shard shards[SHARDS];
    struct band bands[BANDS];
    size_t before;  /* anonymous memory, bytes */
    size_t asked;   /* of live blocks; atomic, as is what follows */
    size_t lost;    /* blocks that found no room in the table */
    size_t unknown; /* freed, but nobody had asked for them */
    size_t mark;    /* to look at the memory beyond it */
    bool is_due, is_looking;
    size_t most; /* asked for at the last look */
} held;

/* ---- atomics and locks -------------------------------------------------- */

static size_t add(size_t *sum, size_t value)
{
    return __atomic_add_fetch(sum, value, __ATOMIC_RELAXED);
}

static size_t load(const size_t *value)
{
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static bool try_lock(bool *lock)
{
    return !__atomic_exchange_n(lock, true, __ATOMIC_ACQUIRE);
}

static void lock(bool *lock)
{
    while (!try_lock(lock)) {
        sched_yield();
    }
}

static void unlock(bool *lock)
{
    __atomic_store_n(lock, false, __ATOMIC_RELEASE);
}

static void fail(const char *what)
{
    dprintf(STDERR_FILENO, "libheld.so: %s\n", what);
    _exit(99);
}

/* ---- the table ---------------------------------------------------------- */

static uint64_t hash(uintptr_t address)
{
    return (uint64_t)(address >> 3) * 0x9e3779b97f4a7c15u;
}

static struct shard *shard_of(uintptr_t address)
{
    return &held.shards[hash(address) >> (64 - SHARD_BITS)];
}

static size_t home_of(uintptr_t address)
{
    return hash(address) >> (64 - SHARD_BITS - SLOT_BITS) & (SLOTS - 1);
}

static size_t after(size_t slot)
{
    return (slot + 1) & (SLOTS - 1);
}

static void entry_add(const struct entry *entry)
{
    struct shard *shard = shard_of(entry->address);
    lock(&shard->locked);
    bool has_room = shard->used < MOST_IN_SHARD;
    if (has_room) {
        size_t slot = home_of(entry->address);
        while (shard->entries[slot].address != 0) {
            slot = after(slot);
        }
        shard->entries[slot] = *entry;
        shard->used++;
    }
    unlock(&shard->locked);
    if (!has_room) {
        add(&held.lost, 1);
    }
}

/* Those behind move up, unless they would come before their home. */
static void slot_clear(struct shard *shard, size_t slot)
{
    size_t next = after(slot);
    while (shard->entries[next].address != 0) {
        size_t home = home_of(shard->entries[next].address);
        if (((next - home) & (SLOTS - 1)) >= ((next - slot) & (SLOTS - 1))) {
            shard->entries[slot] = shard->entries[next];
            slot = next;
        }
        next = after(next);
    }
    shard->entries[slot].address = 0;
    shard->used--;
}

/* With an address of 0 if there is none. */
static struct entry entry_take(const void *block)
{
    uintptr_t address = (uintptr_t)block;
    struct shard *shard = shard_of(address);
    struct entry taken = {0};
    lock(&shard->locked);
    size_t slot = home_of(address);
    while (shard->entries[slot].address != 0 &&
           shard->entries[slot].address != address) {
        slot = after(slot);
    }
    if (shard->entries[slot].address == address) {
        taken = shard->entries[slot];
        slot_clear(shard, slot);
    }
    unlock(&shard->locked);
    return taken;
}

/* ---- looking ------------------------------------------------------------ */

/* By syscall(), which is no cancellation point. Returns the bytes read, and
 * ends the text. */
static size_t read_file(const char *path, char *text, size_t room)
{
    long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) {
        fail("cannot read a file of /proc");
    }
    size_t length = 0;
    long got;
    while ((got = syscall(SYS_read, file, text + length, room - 1 - length)) >
           0) {
        length += (size_t)got;
    }
    syscall(SYS_close, file);
    text[length] = 0;
    return length;
}

static size_t figure_after(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    if (line == NULL) {
        fail("no such figure in smaps_rollup");
    }
    return strtoul(line + strlen(name), NULL, 10) * 1024;
}

static size_t anonymous_memory(void)
{
    char text[2048];
    read_file("/proc/self/smaps_rollup", text, sizeof text);
    return figure_after(text, "\nAnonymous:") + figure_after(text, "\nSwap:");
}

/* The last size of each but the last band, and what it is called: sizes that
 * allocators cut many of, those that they search for, those that they map. */
static const size_t band_ends[BANDS - 1] = {1 << 10, 256 << 10};
static const char *const band_names[BANDS] = {"small", "medium", "large"};

static int write_bands(char *text, size_t room)
{
    int length = 0;
    for (size_t i = 0; i < BANDS; i++) {
        const char *name = band_names[i];
        const struct band *band = &held.bands[i];
        length += snprintf(
            text + length, room - (size_t)length,
            "%s_asked %zu\n%s_usable %zu\n%s_blocks %zu\n%s_in_16s %zu\n", name,
            load(&band->asked), name, load(&band->usable), name,
            load(&band->blocks), name, load(&band->in_16s));
    }
    return length;
}

static void write_record(size_t asked)
{
    char path[sizeof held.folder + 16], text[1024];
    struct mallinfo2 info = {0};
    if (real.info != NULL) {
        info = real.info();
    }
    int length = write_bands(text, sizeof text);
    length += snprintf(text + length, sizeof text - (size_t)length,
                       "asked %zu\nheld %zu\nlost %zu\nunknown %zu\n"
                       "arena %zu\nmapped %zu\nfree %zu\nfree_objects %zu\n",
                       asked, anonymous_memory() - held.before,
                       load(&held.lost), load(&held.unknown), info.arena,
                       info.hblkhd, info.fordblks - info.fsmblks, info.fsmblks);
    snprintf(path, sizeof path, "%s/%d", held.folder, (int)getpid());
    long file = syscall(SYS_openat, AT_FDCWD, path,
                        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || syscall(SYS_write, file, text, length) != length) {
        fail("cannot write a record");
    }
    syscall(SYS_close, file);
}

static void look(void)
{
    int saved_errno = errno;
    size_t asked = load(&held.asked);
    if (asked > held.most) {
        held.most = asked;
        size_t step = asked / SHARE_STEP;
        step = step > LEAST_STEP ? step : LEAST_STEP;
        __atomic_store_n(&held.mark, asked + step, __ATOMIC_RELAXED);
        write_record(asked);
    }
    __atomic_store_n(&held.is_due, false, __ATOMIC_RELAXED);
    errno = saved_errno;
}

static void look_if_due(void)
{
    if (__atomic_load_n(&held.is_due, __ATOMIC_RELAXED) &&
        try_lock(&held.is_looking)) {
        look();
        unlock(&held.is_looking);
    }
}

/* ---- blocks ------------------------------------------------------------- */

static size_t in_16s(size_t asked)
{
    return (asked + 15) & ~(size_t)15;
}

static struct band *band_of(size_t asked)
{
    size_t band = 0;
    while (band < BANDS - 1 && asked > band_ends[band]) {
        band++;
    }
    return &held.bands[band];
}

static void count_entry(const struct entry *entry)
{
    struct band *band = band_of(entry->asked);
    add(&band->asked, entry->asked);
    add(&band->usable, entry->usable);
    add(&band->blocks, 1);
    add(&band->in_16s, in_16s(entry->asked));
    if (add(&held.asked, entry->asked) > load(&held.mark) &&
        held.folder[0] != 0) {
        __atomic_store_n(&held.is_due, true, __ATOMIC_RELAXED);
    }
    entry_add(entry);
}

/* tcmalloc says 0 of a block as long as it is starting. */
static void *count_block(void *block, size_t asked)
{
    if (block != NULL) {
        size_t usable = real.usable(block);
        struct entry entry = {(uintptr_t)block, asked,
                              usable > asked ? usable : asked};
        count_entry(&entry);
    }
    return block;
}

static struct entry forget_block(const void *block)
{
    struct entry entry = entry_take(block);
    if (entry.address == 0) {
        add(&held.unknown, 1);
        return entry;
    }
    add(&held.asked, -entry.asked);
    struct band *band = band_of(entry.asked);
    add(&band->asked, -entry.asked);
    add(&band->usable, -entry.usable);
    add(&band->blocks, (size_t)-1);
    add(&band->in_16s, -in_16s(entry.asked));
    return entry;
}

/* ---- start -------------------------------------------------------------- */

/* What dlsym asks for while it looks for malloc; never freed. */
static _Alignas(16) char early[PAGE];
static size_t early_used;

static void *early_block(size_t size)
{
    void *block = early + early_used;
    early_used += (size + 15) & ~(size_t)15;
    if (early_used > sizeof early) {
        fail("too much is asked for at start");
    }
    return block;
}

static bool is_early(const void *block)
{
    return (uintptr_t)block - (uintptr_t)early < sizeof early;
}

static void *need(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        fail("a function is missing");
    }
    return found;
}

/* The libc's mallinfo2 says nothing of another malloc. */
static void find_info(void)
{
    void *found = dlsym(RTLD_NEXT, "mallinfo2");
    Dl_info of_info, of_malloc;
    if (found != NULL && dladdr(found, &of_info) != 0 &&
        dladdr(need("malloc"), &of_malloc) != 0 &&
        of_info.dli_fbase == of_malloc.dli_fbase) {
        *(void **)&real.info = found;
    }
}

static void find_real(void)
{
    *(void **)&real.malloc = need("malloc");
    *(void **)&real.calloc = need("calloc");
    *(void **)&real.realloc = need("realloc");
    *(void **)&real.free = need("free");
    *(void **)&real.memalign = need("memalign");
    *(void **)&real.posix_memalign = need("posix_memalign");
    *(void **)&real.usable = need("malloc_usable_size");
    find_info();
}

/* getenv does not work yet: libc has not been told of the environment. */
static void find_folder(void)
{
    static const char name[] = "HELD_FOLDER=";
    static char text[16 * PAGE];
    size_t length = read_file("/proc/self/environ", text, sizeof text);
    for (char *word = text; word < text + length; word += strlen(word) + 1) {
        if (strncmp(word, name, sizeof name - 1) == 0) {
            snprintf(held.folder, sizeof held.folder, "%s",
                     word + sizeof name - 1);
        }
    }
}

static void map_table(void)
{
    struct entry *entries = mmap(
        NULL, (size_t)SHARDS * SLOTS * sizeof *entries, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (entries == MAP_FAILED) {
        fail("no memory for the table");
    }
    for (size_t i = 0; i < SHARDS; i++) {
        held.shards[i].entries = entries + i * SLOTS;
    }
}

/* A child has the table of its parent; its own file it gets by its PID. */
static void lock_all(void)
{
    lock(&held.is_looking);
    for (size_t i = 0; i < SHARDS; i++) {
        lock(&held.shards[i].locked);
    }
}

static void unlock_all(void)
{
    for (size_t i = 0; i < SHARDS; i++) {
        unlock(&held.shards[i].locked);
    }
    unlock(&held.is_looking);
}

__attribute__((constructor)) static void wake(void)
{
    if (held.state != ASLEEP) {
        return;
    }
    held.state = WAKING;
    find_real();
    find_folder();
    map_table();
    pthread_atfork(lock_all, unlock_all, unlock_all);
    held.before = anonymous_memory();
    held.state = AWAKE;
}

/* Whether the allocator can be called; before, only dlsym asks. */
static bool is_awake(void)
{
    if (held.state == ASLEEP) {
        wake();
    }
    return held.state == AWAKE;
}

/* ---- malloc and its family ---------------------------------------------- */

/* An allocator may ask for memory itself, of operator new even, in the midst of
 * a call: that is not the program's, and passes uncounted. */
static __thread bool is_inside __attribute__((tls_model("initial-exec")));

/* Whether the call is the program's; if so, leave() ends it. */
static bool enter(void)
{
    if (is_inside) {
        return false;
    }
    is_inside = true;
    look_if_due();
    return true;
}

static void *leave(void *result)
{
    is_inside = false;
    return result;
}

void *malloc(size_t size)
{
    if (!is_awake()) {
        return early_block(size);
    }
    if (!enter()) {
        return real.malloc(size);
    }
    return leave(count_block(real.malloc(size), size));
}

void *calloc(size_t count, size_t size)
{
    if (!is_awake()) {
        return early_block(count * size);
    }
    if (!enter()) {
        return real.calloc(count, size);
    }
    return leave(count_block(real.calloc(count, size), count * size));
}

void free(void *block)
{
    if (block == NULL || is_early(block)) {
        return;
    }
    if (!enter()) {
        real.free(block);
        return;
    }
    forget_block(block);
    real.free(block);
    leave(NULL);
}

static void *move_early(const void *block, size_t size)
{
    size_t room = sizeof early - ((uintptr_t)block - (uintptr_t)early);
    void *moved = malloc(size);
    return moved == NULL ? NULL
                         : memcpy(moved, block, size < room ? size : room);
}

/* No block for a size of 0 is no failure: some allocators free it then. */
static void *move_block(void *block, size_t size)
{
    struct entry entry = forget_block(block);
    void *moved = real.realloc(block, size);
    if (moved == NULL && size != 0 && entry.address != 0) {
        count_entry(&entry);
    }
    return count_block(moved, size);
}

void *realloc(void *block, size_t size)
{
    if (block == NULL) {
        return malloc(size);
    }
    if (is_early(block)) {
        return move_early(block, size);
    }
    if (!enter()) {
        return real.realloc(block, size);
    }
    return leave(move_block(block, size));
}

void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

static void wake_for_aligned(void)
{
    if (!is_awake()) {
        fail("dlsym asked for an aligned block");
    }
}

void *memalign(size_t alignment, size_t size)
{
    wake_for_aligned();
    if (!enter()) {
        return real.memalign(alignment, size);
    }
    return leave(count_block(real.memalign(alignment, size), size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    wake_for_aligned();
    if (!enter()) {
        return real.posix_memalign(block, alignment, size);
    }
    int error = real.posix_memalign(block, alignment, size);
    if (error == 0) {
        count_block(*block, size);
    }
    leave(NULL);
    return error;
}

void *valloc(size_t size)
{
    return memalign(PAGE, size);
}

void *pvalloc(size_t size)
{
    return memalign(PAGE, (size + PAGE - 1) & ~(size_t)(PAGE - 1));
}

/* ---- C++'s operators, by their names in the binary interface ------------ */

static void *new_block(void *block)
{
    if (block == NULL) {
        fail("operator new failed");
    }
    return block;
}

#define OPERATOR_NEW(name, parameters, call)                                   \
    void *name parameters;                                                     \
    void *name parameters                                                      \
    {                                                                          \
        return call;                                                           \
    }

#define OPERATOR_DELETE(name, parameters)                                      \
    void name parameters;                                                      \
    void name parameters                                                       \
    {                                                                          \
        free(block);                                                           \
    }

/* What std::nothrow is passed as. */
#define TAG __attribute__((unused)) const void *tag
#define NUM __attribute__((unused)) size_t

OPERATOR_NEW(_Znwm, (size_t size), new_block(malloc(size)))
OPERATOR_NEW(_Znam, (size_t size), new_block(malloc(size)))
OPERATOR_NEW(_ZnwmRKSt9nothrow_t, (size_t size, TAG), malloc(size))
OPERATOR_NEW(_ZnamRKSt9nothrow_t, (size_t size, TAG), malloc(size))
OPERATOR_NEW(_ZnwmSt11align_val_t, (size_t size, size_t alignment),
             new_block(memalign(alignment, size)))
OPERATOR_NEW(_ZnamSt11align_val_t, (size_t size, size_t alignment),
             new_block(memalign(alignment, size)))
OPERATOR_NEW(_ZnwmSt11align_val_tRKSt9nothrow_t,
             (size_t size, size_t alignment, TAG), memalign(alignment, size))
OPERATOR_NEW(_ZnamSt11align_val_tRKSt9nothrow_t,
             (size_t size, size_t alignment, TAG), memalign(alignment, size))

OPERATOR_DELETE(_ZdlPv, (void *block))
OPERATOR_DELETE(_ZdaPv, (void *block))
OPERATOR_DELETE(_ZdlPvm, (void *block, NUM size))
OPERATOR_DELETE(_ZdaPvm, (void *block, NUM size))
OPERATOR_DELETE(_ZdlPvRKSt9nothrow_t, (void *block, TAG))
OPERATOR_DELETE(_ZdaPvRKSt9nothrow_t, (void *block, TAG))
OPERATOR_DELETE(_ZdlPvSt11align_val_t, (void *block, NUM alignment))
OPERATOR_DELETE(_ZdaPvSt11align_val_t, (void *block, NUM alignment))
OPERATOR_DELETE(_ZdlPvmSt11align_val_t, (void *block, NUM size, NUM alignment))
OPERATOR_DELETE(_ZdaPvmSt11align_val_t, (void *block, NUM size, NUM alignment))
OPERATOR_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t,
                (void *block, NUM alignment, TAG))
OPERATOR_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t,
                (void *block, NUM alignment, TAG))
