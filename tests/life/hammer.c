/*
 * The threads of hammer.h.
 */
#include "hammer.h"

#include "rng.h"
#include "trial.h"

#include <malloc.h>
#include <pthread.h>

enum { MAX_THREADS = 16, SHELF_PLACES = 24, OWN_BLOCKS = 64 };

struct shelf {
    _Atomic(unsigned char *) places[SHELF_PLACES];
};

static struct shelf shelves[MAX_THREADS];
static pthread_t threads_hammering[MAX_THREADS];
static int thread_count;
static atomic_bool stop;
static atomic_int threads_at_work;

static size_t random_size(struct rng *rng)
{
    switch (rng_below(rng, 16)) {
    case 0:
        return rng_below(rng, 400 * 1000);
    case 1:
    case 2:
        return rng_below(rng, 40 * 1000);
    default:
        return rng_below(rng, 600);
    }
}

/* The first and the last usable byte and one in the middle are marked. */
static unsigned char mark_of(const unsigned char *block)
{
    return (unsigned char)rng_mix((uintptr_t)block);
}

static unsigned char *marked_block(size_t size)
{
    unsigned char *block = malloc(size);
    size_t usable;

    MUST(block != NULL);
    usable = malloc_usable_size(block);
    if (usable > 0)
        block[0] = block[usable / 2] = block[usable - 1] = mark_of(block);
    return block;
}

static void free_marked_block(unsigned char *block)
{
    size_t usable = malloc_usable_size(block);

    if (usable > 0) {
        MUST(block[0] == mark_of(block));
        MUST(block[usable / 2] == mark_of(block));
        MUST(block[usable - 1] == mark_of(block));
    }
    free(block);
}

/* One block more on a shelf, the one that was in its place freed. Any thread's
   shelf will do: so blocks are freed by threads other than their makers. */
static void change_a_place(struct rng *rng)
{
    struct shelf *shelf = &shelves[rng_below(rng, (uint64_t)thread_count)];
    uint64_t place = rng_below(rng, SHELF_PLACES);
    unsigned char *old = atomic_exchange(&shelf->places[place], NULL);

    if (old)
        free_marked_block(old);
    old =
        atomic_exchange(&shelf->places[place], marked_block(random_size(rng)));
    if (old)
        free_marked_block(old);
}

static void *hammer(void *seed)
{
    struct rng rng = {(uintptr_t)seed};

    change_a_place(&rng);
    atomic_fetch_add(&threads_at_work, 1);
    while (!atomic_load(&stop))
        change_a_place(&rng);
    return NULL;
}

void hammer_start(int threads)
{
    MUST(threads <= MAX_THREADS);
    thread_count = threads;
    atomic_store(&stop, false);
    atomic_store(&threads_at_work, 0);
    for (int i = 0; i < threads; i++)
        MUST(pthread_create(&threads_hammering[i], NULL, hammer,
                            (void *)(uintptr_t)(i + 1)) == 0);
    while (atomic_load(&threads_at_work) < threads)
        usleep(100);
}

void hammer_stop(void)
{
    atomic_store(&stop, true);
    for (int i = 0; i < thread_count; i++)
        MUST(pthread_join(threads_hammering[i], NULL) == 0);
    hammer_free_shelves();
}

int hammer_free_shelves(void)
{
    int freed = 0;

    for (int i = 0; i < MAX_THREADS; i++) {
        for (int place = 0; place < SHELF_PLACES; place++) {
            unsigned char *block =
                atomic_exchange(&shelves[i].places[place], NULL);

            if (block) {
                free_marked_block(block);
                freed++;
            }
        }
    }
    return freed;
}

void hammer_some(int blocks)
{
    unsigned char *own[OWN_BLOCKS] = {NULL};
    struct rng rng = {(uint64_t)blocks};

    for (int i = 0; i < blocks; i++) {
        unsigned char **place = &own[rng_below(&rng, OWN_BLOCKS)];

        if (*place)
            free_marked_block(*place);
        *place = marked_block(random_size(&rng));
    }
    for (int i = 0; i < OWN_BLOCKS; i++)
        if (own[i])
            free_marked_block(own[i]);
}

static void *hammer_some_thread(void *blocks)
{
    hammer_some((int)(intptr_t)blocks);
    return NULL;
}

void hammer_some_in_threads(int threads, int blocks)
{
    pthread_t started[MAX_THREADS];

    MUST(threads <= MAX_THREADS);
    for (int i = 0; i < threads; i++)
        MUST(pthread_create(&started[i], NULL, hammer_some_thread,
                            (void *)(intptr_t)blocks) == 0);
    for (int i = 0; i < threads; i++)
        MUST(pthread_join(started[i], NULL) == 0);
}
