/*
 * storm.c - what stress.c never does: threads that end after a few calls while
 * others send them blocks, times in which all sizes are of one kind, options
 * that change while they are heeded, forks in the midst of it, and a kernel
 * that has done half of what it refuses.
 *
 *     storm SECONDS SEED [forks] [options] [faults]
 *
 * As there, all threads work on one table of blocks, which are filled over
 * their usable size and checked whenever they are touched. calloc's are zero,
 * what succeeds leaves errno alone, and so does free. A child of fork checks
 * the blocks that nobody was at, goes on with threads of its own, and frees all
 * that it can.
 */
#include "faulty_syscall.h"
#include "pattern.h"
#include "rng.h"
#include "trial.h"

#include <malloc.h>
#include <pthread.h>
#include <time.h>

enum {
    THREADS = 5,
    CHILD_THREADS = 3,
    BLOCKS = 1000,
    STEPS_MOST = 20000,
    CHILD_STEPS = 400,
    CONTROL_ONE_IN = 4000,
    FORK_ONE_IN = 10000,
    BANDS = 8,
};

#define LIVE_BYTES_LIMIT ((size_t)48 << 20)

extern void free_sized(void *memory, size_t size);

/* A place of the table. Whoever has set `taken` owns the rest. */
struct place {
    atomic_bool taken;
    void *block; /* NULL: the place is empty */
    size_t size;
    size_t usable;
    uint64_t tag;
};

static struct place places[BLOCKS];
static atomic_size_t live_bytes;
static atomic_ulong next_tag, operations, forks_done;
static atomic_uint band;
static atomic_bool is_over;
static bool forks, options, faults;

/* What most blocks are like just now. */
static size_t random_size(struct rng *rng)
{
    static const size_t edges[] = {0,    1,     24,     25,     1016,  1017,
                                   1024, 1025,  1033,   4096,   16376, 16384,
                                   9000, 65536, 262136, 262144, 262145};
    unsigned kind = rng_below(rng, 10) ? atomic_load(&band)
                                       : (unsigned)rng_below(rng, BANDS);

    switch (kind) {
    case 0:
        return rng_below(rng, 1100);
    case 1:
        return 1 + rng_below(rng, 260 << 10);
    case 2:
        return 1000 + rng_below(rng, 3000);
    case 3:
        return (size_t)1 << rng_below(rng, 21);
    case 4:
        return (200 << 10) + rng_below(rng, 1 << 20);
    case 5:
        return 16 * (1 + rng_below(rng, 8));
    case 6:
        return edges[rng_below(rng, sizeof edges / sizeof *edges)];
    default:
        return rng_below(rng, (size_t)1 << rng_below(rng, 22));
    }
}

static void settle(struct place *place, void *block, size_t size)
{
    place->block = block;
    place->size = size;
    place->usable = malloc_usable_size(block);
    MUST((uintptr_t)block % 16 == 0 && place->usable >= size);
    place->tag = (atomic_fetch_add(&next_tag, 1) + 1) << 20;
    pattern_fill(block, place->usable, place->tag);
    atomic_fetch_add(&live_bytes, place->usable);
}

static void check_place(const struct place *place)
{
    MUST(malloc_usable_size(place->block) == place->usable);
    MUST(pattern_holds(place->block, place->usable, place->usable, place->tag));
}

/* Whoever gets none is told so, and only where the kernel says no. */
static bool was_given(const void *block)
{
    MUST(errno == (block ? EDOM : ENOMEM));
    MUST(block || faults);
    return block != NULL;
}

static void fill_place(struct place *place, struct rng *rng)
{
    size_t size = random_size(rng);
    size_t alignment = (size_t)1 << rng_below(rng, 14);
    void *block;

    if (atomic_load(&live_bytes) + size > LIVE_BYTES_LIMIT)
        return;
    errno = EDOM;
    switch (rng_below(rng, 6)) {
    case 0:
    case 1:
        block = calloc(1, size);
        MUST(!block || pattern_is_zero(block, size));
        break;
    case 2:
        block = aligned_alloc(alignment, size);
        MUST((uintptr_t)block % alignment == 0);
        break;
    default:
        block = malloc(size);
    }
    if (was_given(block))
        settle(place, block, size);
}

static void empty_place(struct place *place, struct rng *rng)
{
    check_place(place);
    atomic_fetch_sub(&live_bytes, place->usable);
    errno = EDOM;
    if (rng_below(rng, 8) == 0)
        free_sized(place->block, place->size);
    else
        free(place->block);
    MUST(errno == EDOM);
    place->block = NULL;
}

/* By a little more than it has, to something smaller, or to any size. */
static size_t next_size(const struct place *place, struct rng *rng)
{
    switch (rng_below(rng, 3)) {
    case 0:
        return place->usable + rng_below(rng, 9000) + 1;
    case 1:
        return place->usable / (1 + rng_below(rng, 4)) + 1;
    default:
        return random_size(rng) + 1;
    }
}

static void resize_place(struct place *place, struct rng *rng)
{
    struct place old = {.usable = place->usable, .tag = place->tag};
    size_t size = next_size(place, rng);
    size_t kept = size < old.usable ? size : old.usable;
    void *block;

    if (atomic_load(&live_bytes) + size > LIVE_BYTES_LIMIT)
        return;
    check_place(place);
    errno = EDOM;
    block = realloc(place->block, size);
    if (!was_given(block)) {
        MUST(size > old.usable);
        check_place(place);
        return;
    }
    MUST(pattern_holds(block, old.usable, kept, old.tag));
    atomic_fetch_sub(&live_bytes, old.usable);
    settle(place, block, size);
}

static void step(struct rng *rng)
{
    struct place *place = &places[rng_below(rng, BLOCKS)];

    if (atomic_exchange(&place->taken, true))
        return;
    if (!place->block)
        fill_place(place, rng);
    else if (rng_below(rng, 4) == 0)
        resize_place(place, rng);
    else
        empty_place(place, rng);
    atomic_store(&place->taken, false);
    atomic_fetch_add(&operations, 1);
}

/* ---- children ------------------------------------------------------------ */

static void *work_in_child(void *seed)
{
    struct rng rng = {(uintptr_t)seed};

    for (int i = 0; i < CHILD_STEPS; i++)
        step(&rng);
    return NULL;
}

static void live_as_child(struct rng *rng)
{
    pthread_t threads[CHILD_THREADS];

    trial_watch();
    for (int i = 0; i < BLOCKS; i++)
        if (!places[i].taken && places[i].block)
            check_place(&places[i]);
    work_in_child((void *)(uintptr_t)rng_next(rng));
    for (int i = 0; i < CHILD_THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, work_in_child,
                            (void *)(uintptr_t)rng_next(rng)) == 0);
    for (int i = 0; i < CHILD_THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < BLOCKS; i++)
        if (!places[i].taken && places[i].block)
            empty_place(&places[i], rng);
    MUST(ptm_check() == 0);
    malloc_trim(0);
    MUST(ptm_check() == 0);
    _exit(0);
}

static void fork_child(struct rng *rng)
{
    pid_t child = fork();

    if (child == 0)
        live_as_child(rng);
    trial_child_must_succeed(child);
    atomic_fetch_add(&forks_done, 1);
}

/* ---- threads ------------------------------------------------------------- */

static int add_size(void *memory, size_t size, void *sum)
{
    (void)memory;
    *(size_t *)sum += size;
    return 0;
}

static void call_control(struct rng *rng)
{
    size_t sum = 0;

    switch (rng_below(rng, 3)) {
    case 0:
        malloc_trim(rng_below(rng, 1 << 18));
        break;
    case 1:
        MUST(ptm_visit(add_size, &sum) == 0);
        break;
    default:
        MUST(ptm_check() == 0);
    }
}

/* Every third thread is gone before it has a cache worth the name. */
static void *work(void *seed)
{
    struct rng rng = {(uintptr_t)seed};
    uint64_t steps = rng_below(&rng, 3) ? rng_below(&rng, STEPS_MOST) : 20;

    for (uint64_t i = 0; i < steps && !atomic_load(&is_over); i++) {
        step(&rng);
        if (rng_below(&rng, CONTROL_ONE_IN) == 0)
            call_control(&rng);
        if (forks && rng_below(&rng, FORK_ONE_IN) == 0)
            fork_child(&rng);
    }
    return NULL;
}

static void change_an_option(struct rng *rng)
{
    static const struct {
        const char *key;
        size_t values[4];
    } changes[] = {
        {"tcache_max", {262144, 0, 5000, 40}},
        {"run_max", {1024, 0, 100, 512}},
        {"mmap_threshold", {262144, 5000, 1 << 24, 70000}},
        {"mmap_max", {65536, 0, 5, 100}},
        {"mapped_cache", {128 << 20, 0, 1 << 20, 300000}},
        {"decay", {1000, 0, 1, 50}},
        {"guard", {5000, 0, 1, 20}},
        {"trim_threshold", {2 << 20, 0, 4096, 100000}},
        {"top_pad", {0, 4096, 1 << 20, 128}},
        {"arena_max", {0, 1, 3, 8}},
        {"profile", {0, 0, 1000, 10}},
        {"memory_limit", {0, 0, 50 << 20, 1 << 20}},
    };
    size_t i = rng_below(rng, sizeof changes / sizeof *changes);
    int error =
        ptm_option_set(changes[i].key, changes[i].values[rng_below(rng, 4)]);

    MUST(error == 0 || (error == ENOMEM && faults));
}

static void change_mood(struct rng *rng)
{
    static const struct faulty_plan moods[] = {
        {.kinds = FAULTY_ALL, .one_in = 3},
        {.kinds = FAULTY_MADVISE, .one_in = 2, .error = EAGAIN, .partly = true},
        {.kinds = FAULTY_MADVISE, .one_in = 1, .error = EINVAL, .partly = true},
        {.kinds = FAULTY_MADVISE | FAULTY_MUNMAP, .one_in = 2, .partly = true},
        {.kinds = FAULTY_MREMAP | FAULTY_MPROTECT, .one_in = 3},
    };
    size_t mood = rng_below(rng, 2 * sizeof moods / sizeof *moods);

    faulty_use(mood < sizeof moods / sizeof *moods ? &moods[mood] : NULL);
}

static double seconds_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void rage(double end, struct rng *rng)
{
    pthread_t threads[THREADS];
    bool is_started[THREADS] = {false};

    do {
        size_t i = rng_below(rng, THREADS);
        void *seed = (void *)(uintptr_t)rng_next(rng);

        if (is_started[i])
            MUST(pthread_join(threads[i], NULL) == 0);
        is_started[i] = pthread_create(&threads[i], NULL, work, seed) == 0;
        MUST(is_started[i] || faults);
        if (rng_below(rng, 4) == 0)
            atomic_store(&band, (unsigned)rng_below(rng, BANDS));
        if (options && rng_below(rng, 2))
            change_an_option(rng);
        if (faults)
            change_mood(rng);
        for (int k = 0; k < 200; k++)
            step(rng);
    } while (seconds_now() < end);
    atomic_store(&is_over, true);
    faulty_use(NULL);
    for (int i = 0; i < THREADS; i++)
        if (is_started[i])
            MUST(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv)
{
    struct rng rng;

    MUST(argc >= 3);
    for (int i = 3; i < argc; i++) {
        forks |= strcmp(argv[i], "forks") == 0;
        options |= strcmp(argv[i], "options") == 0;
        faults |= strcmp(argv[i], "faults") == 0;
    }
    rng.state = strtoull(argv[2], NULL, 0);
    trial_malloc_must_be_ptm();
    trial_watch_for(TRIAL_WATCHDOG_SECONDS + (unsigned)atoi(argv[1]));
    rage(seconds_now() + atof(argv[1]), &rng);
    MUST(ptm_check() == 0);
    for (int i = 0; i < BLOCKS; i++)
        if (places[i].block)
            empty_place(&places[i], &rng);
    MUST(ptm_check() == 0);
    malloc_trim(0);
    MUST(ptm_check() == 0 && atomic_load(&live_bytes) == 0);
    dprintf(1, "%lu operations, %lu forks\n", atomic_load(&operations),
            atomic_load(&forks_done));
    MUST(atomic_load(&operations) > 100);
    return 0;
}
