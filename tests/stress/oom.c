/*
 * oom.c - eight threads use up all memory there is, again and again.
 *
 * Address space is limited to 200,000 KiB, by the program itself or, with the
 * argument "limited", by whoever started it. In each round every thread
 * allocates through one entry point and one size until it is told NULL, which
 * must come with ENOMEM. What it got until then must be whole, must be
 * freeable; and when all have freed theirs, allocation must go on.
 */
#include "pattern.h"
#include "rng.h"
#include "trial.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

enum { THREADS = 8, STACK_SIZE = 128 * 1024, LIMIT_KIB = 200000 };

/* A block is linked through its first bytes; the rest is its pattern. */
struct link {
    struct link *next;
    size_t usable;
};

typedef void *allocate_function(size_t size);

static void *by_calloc(size_t size)
{
    unsigned char *block = calloc(1, size);

    MUST(!block || pattern_is_zero(block, size));
    return block;
}

static void *by_realloc(size_t size)
{
    return realloc(NULL, size);
}

/* Two steps, the second of which must not lose the first. */
static void *by_growing(size_t size)
{
    void *small = malloc(size / 2 + sizeof(struct link));
    void *grown;

    if (!small)
        return NULL;
    pattern_fill(small, size / 2, 1);
    grown = realloc(small, size);
    MUST(pattern_holds(grown ? grown : small, size / 2, size / 2, 1));
    if (!grown)
        free(small);
    return grown;
}

static void *by_reallocarray(size_t size)
{
    return reallocarray(NULL, size, 1);
}

static void *by_aligned_alloc(size_t size)
{
    return aligned_alloc(64, size);
}

static void *by_memalign(size_t size)
{
    return memalign(4096, size);
}

static void *by_posix_memalign(size_t size)
{
    void *block = NULL;
    int error = posix_memalign(&block, 256, size);

    if (error)
        errno = error;
    return block;
}

/* `step` is what the smallest block takes at least of the address space. */
static const struct entry_point {
    allocate_function *allocate;
    size_t step;
} entry_points[] = {
    {malloc, 32},          {by_calloc, 32},          {by_realloc, 32},
    {by_growing, 32},      {valloc, 4096},           {by_aligned_alloc, 64},
    {by_memalign, 4096},   {by_posix_memalign, 256}, {pvalloc, 4096},
    {by_reallocarray, 32},
};

static const size_t sizes[] = {24,     100,    1000,    5000,     60 * 1000,
                               200000, 300000, 2 << 20, 150 << 20};

enum {
    ENTRY_POINTS = sizeof entry_points / sizeof *entry_points,
    SIZES = sizeof sizes / sizeof *sizes,
};

static pthread_barrier_t barrier;
static atomic_size_t bytes_of_round;

static uint64_t tag_of(const struct link *link)
{
    return rng_mix((uintptr_t)link);
}

static struct link *new_link(const struct entry_point *entry, size_t size)
{
    struct link *link;

    errno = 0;
    link = entry->allocate(size < sizeof *link ? sizeof *link : size);
    if (!link) {
        MUST(errno == ENOMEM);
        return NULL;
    }
    link->usable = malloc_usable_size(link);
    pattern_fill(link + 1, link->usable - sizeof *link, tag_of(link));
    atomic_fetch_add(&bytes_of_round, size > entry->step ? size : entry->step);
    return link;
}

static struct link *allocate_all(const struct entry_point *entry, size_t size)
{
    struct link *all = NULL;
    struct link *link;

    while ((link = new_link(entry, size))) {
        link->next = all;
        all = link;
    }
    return all;
}

static void check_all(const struct link *all)
{
    for (; all; all = all->next) {
        size_t rest = all->usable - sizeof *all;

        MUST(malloc_usable_size((void *)(uintptr_t)all) == all->usable);
        MUST(pattern_holds(all + 1, rest, rest, tag_of(all)));
    }
}

static void free_all(struct link *all)
{
    while (all) {
        struct link *next = all->next;

        free(all);
        all = next;
    }
}

static struct link *allocate_mixed(struct rng *rng)
{
    struct link *all = NULL;
    struct link *link;

    while ((link = new_link(&entry_points[rng_below(rng, ENTRY_POINTS)],
                            sizes[rng_below(rng, SIZES - 2)]))) {
        link->next = all;
        all = link;
    }
    return all;
}

/*
 * The steps of a round end at a barrier each. Thread 0 checks the heap while
 * it is full, and while it is empty.
 */
static void end_round(struct link *all, size_t number)
{
    if (number == 0)
        MUST(ptm_check() == 0);
    check_all(all);
    pthread_barrier_wait(&barrier);
    free_all(all);
    pthread_barrier_wait(&barrier);
    if (number == 0)
        MUST(ptm_check() == 0);
    pthread_barrier_wait(&barrier);
}

static void allocation_must_go_on(void)
{
    void *small = malloc(1000);
    void *large = malloc(1 << 20);

    MUST(small != NULL);
    MUST(large != NULL);
    free(small);
    free(large);
    pthread_barrier_wait(&barrier);
}

static void play_round(size_t entry_point, size_t size, size_t number)
{
    struct link *all;

    if (number == 0) {
        trial_watch();
        atomic_store(&bytes_of_round, 0);
    }
    pthread_barrier_wait(&barrier);
    all = allocate_all(&entry_points[entry_point], sizes[size]);
    pthread_barrier_wait(&barrier);
    /* It was the limit that ended the round. With its header a block of pages
       takes up to three times its size; of 150 MiB, one fits or none. */
    if (number == 0 && sizes[size] < 100 << 20)
        MUST(atomic_load(&bytes_of_round) > LIMIT_KIB / 4 * (size_t)1024);
    end_round(all, number);
    allocation_must_go_on();
}

static void *use_up_memory(void *argument)
{
    size_t number = (uintptr_t)argument;
    struct rng rng = {number};

    /* Each size with some entry points, each entry point with some sizes. */
    for (size_t size = 0; size < SIZES; size++)
        for (size_t i = size % 3; i < ENTRY_POINTS; i += 3)
            play_round(i, size, number);
    for (int i = 0; i < 4; i++) {
        if (number == 0)
            trial_watch();
        end_round(allocate_mixed(&rng), number);
        allocation_must_go_on();
    }
    return NULL;
}

static void limit_address_space(int argc, char **argv)
{
    const rlim_t bytes = (rlim_t)LIMIT_KIB * 1024;
    struct rlimit limit = {bytes, bytes};

    if (argc == 1)
        MUST(setrlimit(RLIMIT_AS, &limit) == 0);
    else
        MUST(strcmp(argv[1], "limited") == 0);
    MUST(getrlimit(RLIMIT_AS, &limit) == 0);
    MUST(limit.rlim_cur == bytes);
}

int main(int argc, char **argv)
{
    pthread_attr_t attributes;
    pthread_t threads[THREADS];

    trial_watch();
    limit_address_space(argc, argv);
    trial_malloc_must_be_ptm();
    MUST(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    MUST(pthread_attr_init(&attributes) == 0);
    MUST(pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], &attributes, use_up_memory,
                            (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    MUST(ptm_check() == 0);
    return 0;
}
