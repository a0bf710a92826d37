/*
 * stress.c - everything at once, at random, for as long as it is told.
 *
 *     stress THREADS SECONDS SEED [--faults]
 *
 * All threads work on one table of blocks: a block is made by one thread, and
 * resized, checked and freed by any. Every entry point and sizes from 0 to
 * 64 MiB take part. A block is filled over its whole usable size with contents
 * of its own (pattern.h), and checked whenever it is touched. Time is cut into
 * rounds; at the end of each the threads end, the heap and every block are
 * checked, and new threads start. In the midst of a round the heap is checked
 * now and then as well.
 *
 * With --faults the kernel refuses memory calls, in bursts (faulty_syscall.h).
 * NULL with ENOMEM is then an answer; lost contents and a broken heap are not.
 *
 * The seed is printed first, so that a failure can be repeated as far as the
 * order of threads allows.
 */
#include "faulty_syscall.h"
#include "pattern.h"
#include "rng.h"
#include "trial.h"

#include <malloc.h>
#include <pthread.h>
#include <time.h>

enum {
    MAX_THREADS = 64,
    BLOCKS = 8192,
    ROUND_MILLISECONDS = 1500,
    CONTROL_CALL_ONE_IN = 3000,
    LOG2_OF_LARGEST = 26,
    HEAP_HEADER = 32 << 10, /* bytes, at most */
};

#define LIVE_BYTES_LIMIT ((size_t)512 << 20)

/* glibc has not declared these in every version. */
extern void cfree(void *memory);
extern void free_sized(void *memory, size_t size);
extern void free_aligned_sized(void *memory, size_t alignment, size_t size);

/* A place of the table. Whoever has set `taken` owns the rest. */
struct place {
    atomic_bool taken;
    void *block; /* NULL: the place is empty */
    size_t size; /* as requested */
    size_t usable;
    size_t alignment;
    uint64_t tag;
};

static struct place places[BLOCKS];
static atomic_size_t live_bytes;
static atomic_size_t most_live_bytes;
static atomic_ulong operations;
static atomic_ulong refusals;
static unsigned long calls_refused;
static atomic_ulong objects;
static atomic_ulong next_tag;
static atomic_bool round_is_over;
static bool faults;

/* Most blocks are small, some medium, few huge; sizes of all magnitudes. */
static size_t random_size(struct rng *rng)
{
    unsigned kind = (unsigned)rng_below(rng, 1000);
    unsigned from = kind < 800 ? 0 : kind < 960 ? 10 : kind < 992 ? 16 : 20;
    unsigned to = kind < 800   ? 10
                  : kind < 960 ? 16
                  : kind < 992 ? 20
                               : LOG2_OF_LARGEST;
    unsigned magnitude = from + (unsigned)rng_below(rng, to - from + 1);

    return rng_below(rng, ((size_t)1 << magnitude) + 1);
}

static size_t random_alignment(struct rng *rng)
{
    unsigned most = rng_below(rng, 50) == 0 ? 22 : 13;

    return (size_t)1 << rng_below(rng, most + 1);
}

/* Counts `bytes` as live, unless that would be too many. */
static bool may_live(size_t bytes)
{
    size_t live = atomic_fetch_add(&live_bytes, bytes) + bytes;
    size_t most = atomic_load(&most_live_bytes);

    if (live > LIVE_BYTES_LIMIT) {
        atomic_fetch_sub(&live_bytes, bytes);
        return false;
    }
    while (live > most &&
           !atomic_compare_exchange_weak(&most_live_bytes, &most, live))
        ;
    return true;
}

static void note_refusal(void)
{
    MUST(faults);
    atomic_fetch_add(&refusals, 1);
}

static void *posix_memalign_block(size_t alignment, size_t size)
{
    void *untouched = &places;
    void *block = untouched;
    int error = posix_memalign(&block, alignment, size);

    if (error == 0)
        return block;
    MUST(block == untouched);
    errno = error;
    return NULL;
}

/* Sets place->alignment to what the block's address must be a multiple of. */
static void *allocate(struct place *place, size_t size, struct rng *rng)
{
    size_t alignment = random_alignment(rng);

    place->alignment = 16;
    errno = 0;
    switch (rng_below(rng, 16)) {
    case 0:
    case 1:
    case 2: {
        void *block = calloc(size / 8 + 1, 8);

        MUST(!block || pattern_is_zero(block, size));
        return block;
    }
    case 3:
        return realloc(NULL, size);
    case 4:
        return reallocarray(NULL, size / 4 + 1, 4);
    case 5:
        place->alignment = alignment;
        return aligned_alloc(alignment, size);
    case 6:
        place->alignment = alignment;
        return memalign(alignment, size);
    case 7:
        place->alignment = alignment < sizeof(void *) ? 8 : alignment;
        return posix_memalign_block(place->alignment, size);
    case 8:
        place->alignment = (size_t)sysconf(_SC_PAGESIZE);
        return rng_below(rng, 2) ? valloc(size) : pvalloc(size);
    default:
        return malloc(size);
    }
}

/* A guarded block is at the end of its page, or at the start. */
static bool may_be_guarded(const struct place *place)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)place->block;

    return start % page == 0 || (start + place->usable) % page == 0;
}

/* Of a run: those have no header, so that all of their size is usable. So may
 * that of a hardened block be. */
static bool is_object(const struct place *place)
{
    return place->usable > 0 && place->usable <= 1024 &&
           place->usable % 16 == 0 && !may_be_guarded(place);
}

static bool is_option(const char *text)
{
    const char *options = getenv("PTM_OPTIONS");

    return options && strstr(options, text);
}

/* Takes note of a block that is new, or was resized, and fills it. */
static void settle(struct place *place, void *block, size_t size)
{
    MUST((uintptr_t)block % place->alignment == 0);
    MUST((uintptr_t)block % 16 == 0);
    place->block = block;
    place->size = size;
    place->usable = malloc_usable_size(block);
    MUST(place->usable >= size);
    if (is_object(place))
        atomic_fetch_add(&objects, 1);
    place->tag = atomic_fetch_add(&next_tag, 1) << 20;
    pattern_fill(block, place->usable, place->tag);
}

static void check_place(const struct place *place)
{
    MUST(malloc_usable_size(place->block) == place->usable);
    MUST(pattern_holds(place->block, place->usable, place->usable, place->tag));
}

static void fill_place(struct place *place, struct rng *rng)
{
    size_t size = random_size(rng);
    void *block;

    if (!may_live(size))
        return;
    block = allocate(place, size, rng);
    if (block) {
        settle(place, block, size);
        return;
    }
    MUST(errno == ENOMEM);
    atomic_fetch_sub(&live_bytes, size);
    note_refusal();
}

/* The size that free_sized is told. pvalloc has asked for more than we. */
static size_t told_size(const struct place *place)
{
    return place->alignment == (size_t)sysconf(_SC_PAGESIZE) ? place->usable
                                                             : place->size;
}

static void release(struct place *place, struct rng *rng)
{
    /* pvalloc rounds its sizes up; such a block is not to be freed by its
     * size. */
    bool has_size = place->alignment != (size_t)sysconf(_SC_PAGESIZE);

    errno = EDOM;
    switch (rng_below(rng, 8) + (has_size ? 0 : 3)) {
    case 0:
        cfree(place->block);
        break;
    case 1:
        free_sized(place->block, told_size(place));
        break;
    case 2:
        free_aligned_sized(place->block, place->alignment, told_size(place));
        break;
    case 3:
        MUST(realloc(place->block, 0) == NULL);
        break;
    default:
        free(place->block);
    }
    MUST(errno == EDOM);
}

static void empty_place(struct place *place, struct rng *rng)
{
    check_place(place);
    release(place, rng);
    atomic_fetch_sub(&live_bytes, place->size);
    place->block = NULL;
}

/* Refused: the old block is as it was. Else the old contents came along. */
static void resize_place(struct place *place, struct rng *rng)
{
    struct place old = {
        .size = place->size, .usable = place->usable, .tag = place->tag};
    size_t size = random_size(rng) + 1;
    size_t kept = size < old.usable ? size : old.usable;
    void *block;

    if (!may_live(size))
        return;
    check_place(place);
    errno = 0;
    block = rng_below(rng, 4) ? realloc(place->block, size)
                              : reallocarray(place->block, size, 1);
    if (!block) {
        MUST(errno == ENOMEM);
        check_place(place);
        atomic_fetch_sub(&live_bytes, size);
        note_refusal();
        return;
    }
    MUST(pattern_holds(block, old.usable, kept, old.tag));
    atomic_fetch_sub(&live_bytes, old.size);
    place->alignment = 16;
    settle(place, block, size);
}

/* The calls that look at the heap as a whole. */
static void call_control(struct rng *rng)
{
    struct mallinfo2 info;
    FILE *stream;

    switch (rng_below(rng, 4)) {
    case 0:
        malloc_trim(rng_below(rng, 1 << 20));
        break;
    case 1:
        info = mallinfo2();
        MUST(info.uordblks <= info.arena);
        break;
    case 2:
        stream = fopen("/dev/null", "w");
        MUST(stream || faults);
        if (stream) {
            MUST(malloc_info(0, stream) == 0);
            fclose(stream);
        }
        break;
    default:
        MUST(ptm_check() == 0);
    }
}

static void work_on_place(struct place *place, struct rng *rng)
{
    if (!place->block) {
        fill_place(place, rng);
        return;
    }
    switch (rng_below(rng, 8)) {
    case 0:
        check_place(place);
        break;
    case 1:
    case 2:
        resize_place(place, rng);
        break;
    default:
        empty_place(place, rng);
    }
}

static void *work(void *seed)
{
    struct rng rng = {(uintptr_t)seed};
    unsigned long done = 0;

    for (; !atomic_load(&round_is_over); done++) {
        struct place *place = &places[rng_below(&rng, BLOCKS)];

        if (atomic_exchange(&place->taken, true))
            continue;
        work_on_place(place, &rng);
        atomic_store(&place->taken, false);
        if (rng_below(&rng, CONTROL_CALL_ONE_IN) == 0)
            call_control(&rng);
    }
    atomic_fetch_add(&operations, done);
    return NULL;
}

/* The kernel's moods. Each lasts for some milliseconds. */
static const struct faulty_plan moods[] = {
    {.kinds = FAULTY_ALL, .one_in = 2},
    {.kinds = FAULTY_ALL, .one_in = 10},
    {.kinds = FAULTY_ALL, .one_in = 1},
    {.kinds = FAULTY_MMAP, .one_in = 1},
    {.kinds = FAULTY_MMAP, .one_in = 1, .reservations_only = true},
    {.kinds = FAULTY_MMAP, .one_in = 1, .at_least = 1 << 20},
    {.kinds = FAULTY_MPROTECT, .one_in = 1},
    {.kinds = FAULTY_MADVISE, .one_in = 1, .error = EINVAL},
    {.kinds = FAULTY_MREMAP, .one_in = 1},
    {.kinds = FAULTY_MUNMAP, .one_in = 1},
    {.kinds = FAULTY_MMAP | FAULTY_MPROTECT, .one_in = 1},
};

/* Half of the time the kernel has no mood. */
static void change_mood(struct rng *rng)
{
    size_t mood = rng_below(rng, 2 * sizeof moods / sizeof *moods);

    calls_refused += faulty_calls_refused();
    faulty_use(mood < sizeof moods / sizeof *moods ? &moods[mood] : NULL);
}

static void nap(unsigned milliseconds)
{
    const struct timespec time = {.tv_nsec = milliseconds * 1000000L};

    nanosleep(&time, NULL);
}

static double seconds_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* What goes on while the threads work: moods and checks. */
static void accompany_round(struct rng *rng, double end)
{
    while (seconds_now() < end) {
        if (faults)
            change_mood(rng);
        nap(1 + (unsigned)rng_below(rng, 30));
        if (rng_below(rng, 16) == 0)
            MUST(ptm_check() == 0);
    }
    calls_refused += faulty_calls_refused();
    faulty_use(NULL);
}

static void run_round(int threads, struct rng *rng, double end)
{
    pthread_t started[MAX_THREADS];

    atomic_store(&round_is_over, false);
    for (int i = 0; i < threads; i++) {
        void *seed = (void *)(uintptr_t)rng_next(rng);

        MUST(pthread_create(&started[i], NULL, work, seed) == 0);
    }
    accompany_round(rng, end);
    atomic_store(&round_is_over, true);
    for (int i = 0; i < threads; i++)
        MUST(pthread_join(started[i], NULL) == 0);
}

static void check_everything(void)
{
    MUST(ptm_check() == 0);
    for (int i = 0; i < BLOCKS; i++)
        if (places[i].block)
            check_place(&places[i]);
}

static void free_everything(struct rng *rng)
{
    for (int i = 0; i < BLOCKS; i++)
        if (places[i].block)
            empty_place(&places[i], rng);
    MUST(atomic_load(&live_bytes) == 0);
    MUST(ptm_check() == 0);
}

static void stress(int threads, double seconds, struct rng *rng)
{
    double end = seconds_now() + seconds;
    int rounds = 0;

    while (seconds_now() < end) {
        double end_of_round = seconds_now() + ROUND_MILLISECONDS * 1e-3;

        trial_watch();
        run_round(threads, rng, end_of_round < end ? end_of_round : end);
        check_everything();
        if (++rounds % 4 == 0)
            free_everything(rng);
        if (rounds % 8 == 0)
            malloc_trim(0);
    }
    free_everything(rng);
}

/* How many heaps there are, by malloc_info. */
static size_t heaps(void)
{
    static const char subheaps[] = "type=\"subheaps\" size=\"";
    char *text = NULL;
    size_t length;
    size_t sum = 0;
    FILE *stream = open_memstream(&text, &length);

    MUST(stream && malloc_info(0, stream) == 0 && fclose(stream) == 0);
    for (const char *at = strstr(text, subheaps); at;
         at = strstr(at + 1, subheaps))
        sum += strtoul(at + sizeof subheaps - 1, NULL, 10);
    free(text);
    return sum;
}

int main(int argc, char **argv)
{
    struct rng rng;
    struct mallinfo2 before;
    struct mallinfo2 after;

    MUST(argc >= 4);
    faults = argc > 4 && strcmp(argv[4], "--faults") == 0;
    rng.state = strtoull(argv[3], NULL, 0);
    MUST(atoi(argv[1]) >= 1 && atoi(argv[1]) <= MAX_THREADS);
    dprintf(1, "stress %s threads, %s seconds, seed %s%s\n", argv[1], argv[2],
            argv[3], faults ? ", faults" : "");
    trial_malloc_must_be_ptm();
    before = mallinfo2();
    stress(atoi(argv[1]), atof(argv[2]), &rng);
    malloc_trim(0); /* what waits in caches counts as used */
    after = mallinfo2();
    dprintf(1,
            "%lu operations, %lu refused to the program, %lu refused by the "
            "kernel, %lu objects of runs, at most %zu MiB live, %zu bytes in "
            "use before, %zu after\n",
            atomic_load(&operations), atomic_load(&refusals), calls_refused,
            atomic_load(&objects), atomic_load(&most_live_bytes) >> 20,
            before.uordblks, after.uordblks);
    MUST(atomic_load(&operations) > 1000);
    MUST(is_option("hardened") ||
         (atomic_load(&objects) == 0) ==
             (is_option("run_max=0") || is_option("tcache_max=0")));
    /* In a short run on a busy machine caches may serve all the while. */
    MUST(!faults || calls_refused > 0);
    MUST(!faults || atof(argv[2]) < 20 || atomic_load(&refusals) > 0);
    /* Nothing was lost: neither blocks of the heaps nor mappings. The headers
       of heaps count as used, and those that reserved little, because more was
       refused, are not given back. */
    MUST(after.uordblks <= (256 << 10) + heaps() * HEAP_HEADER);
    MUST(after.hblks == before.hblks && after.hblkhd == before.hblkhd);
    return 0;
}
