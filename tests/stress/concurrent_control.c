/*
 * concurrent_control.c - the calls that see or change the heap as a whole, made
 * while others allocate.
 *
 *     concurrent_control SECONDS
 *
 * Some threads allocate, pass their blocks on and check their contents. One
 * thread each calls malloc_trim, malloc_info, mallopt, mallinfo2 and mallinfo,
 * malloc_stats, and ptm_check with ptm_set_hooks in turn, all without pause.
 * The contents must survive, the figures must hang together, and at the end
 * the heap must be sound.
 */
#include "pattern.h"
#include "rng.h"
#include "trial.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>

enum { ALLOCATING_THREADS = 3, BLOCKS = 512, LARGEST = 600 * 1000 };

struct shared_block {
    atomic_bool taken;
    void *block;
    size_t usable;
    uint64_t tag;
};

static struct shared_block blocks[BLOCKS];
static atomic_ulong next_tag;
static atomic_bool stop;
static atomic_ulong hook_calls;

static void renew(struct shared_block *shared, struct rng *rng)
{
    size_t magnitude = rng_below(rng, 20);
    size_t size = rng_below(rng, ((size_t)1 << magnitude) + 1) % LARGEST;

    if (shared->block)
        MUST(pattern_holds(shared->block, shared->usable, shared->usable,
                           shared->tag));
    if (shared->block && rng_below(rng, 2)) {
        free(shared->block);
        shared->block = NULL;
    }
    shared->block = realloc(shared->block, size + 1);
    MUST(shared->block != NULL);
    shared->usable = malloc_usable_size(shared->block);
    shared->tag = atomic_fetch_add(&next_tag, 1) << 20;
    pattern_fill(shared->block, shared->usable, shared->tag);
}

static void *allocate(void *seed)
{
    struct rng rng = {(uintptr_t)seed};

    while (!atomic_load(&stop)) {
        struct shared_block *shared = &blocks[rng_below(&rng, BLOCKS)];

        if (atomic_exchange(&shared->taken, true))
            continue;
        renew(shared, &rng);
        atomic_store(&shared->taken, false);
    }
    return NULL;
}

static void *trim(void *unused)
{
    struct rng rng = {1};

    while (!atomic_load(&stop)) {
        int result = malloc_trim(rng_below(&rng, 2) ? 0 : 1 << 20);

        MUST(result == 0 || result == 1);
    }
    return unused;
}

/* The report must be whole: it opens, it closes, it does not mention less. */
static void *write_info(void *unused)
{
    while (!atomic_load(&stop)) {
        char *text = NULL;
        size_t length = 0;
        FILE *stream = open_memstream(&text, &length);

        MUST(stream != NULL);
        MUST(malloc_info(0, stream) == 0);
        MUST(fclose(stream) == 0);
        MUST(strncmp(text, "<malloc version=", 16) == 0);
        MUST(strstr(text, "<heap nr=\"0\">") != NULL);
        MUST(strstr(text, "</malloc>") != NULL);
        free(text);
    }
    return unused;
}

static void *change_options(void *unused)
{
    struct rng rng = {2};

    while (!atomic_load(&stop)) {
        size_t threshold = 64 * 1024 << rng_below(&rng, 5);

        MUST(mallopt(M_MMAP_THRESHOLD, (int)threshold) == 1);
        MUST(mallopt(M_TRIM_THRESHOLD, (int)rng_below(&rng, 1 << 24)) == 1);
        MUST(mallopt(M_TOP_PAD, (int)rng_below(&rng, 1 << 20)) == 1);
        MUST(mallopt(M_MMAP_MAX, (int)rng_below(&rng, 1000)) == 1);
        MUST(mallopt(M_ARENA_MAX, 1 + (int)rng_below(&rng, 8)) == 1);
        MUST(mallopt(M_PERTURB, (int)rng_below(&rng, 2)) == 1);
        usleep(100);
    }
    return unused;
}

static void *read_figures(void *unused)
{
    while (!atomic_load(&stop)) {
        struct mallinfo2 info = mallinfo2();

        MUST(info.uordblks + info.fordblks == info.arena);
        MUST(info.keepcost <= info.fordblks);
        MUST(info.hblks == 0 ? info.hblkhd == 0 : info.hblkhd >= info.hblks);
        mallinfo();
        usleep(100);
    }
    return unused;
}

/* stderr is where failures are reported too, so statistics are few: their text
   is thrown away and the descriptor put back at once. */
static void *write_stats(void *unused)
{
    int null = open("/dev/null", O_WRONLY);
    int saved = dup(2);

    MUST(null >= 0 && saved >= 0);
    while (!atomic_load(&stop)) {
        MUST(dup2(null, 2) == 2);
        malloc_stats();
        MUST(dup2(saved, 2) == 2);
        usleep(20 * 1000);
    }
    close(null);
    close(saved);
    return unused;
}

static void *counting_malloc(size_t size, const void *caller)
{
    (void)caller;
    atomic_fetch_add(&hook_calls, 1);
    return malloc(size);
}

static void counting_free(void *block, const void *caller)
{
    (void)caller;
    atomic_fetch_add(&hook_calls, 1);
    free(block);
}

static void *check_and_hook(void *unused)
{
    static const struct ptm_hooks hooks = {.malloc_hook = counting_malloc,
                                           .free_hook = counting_free};

    while (!atomic_load(&stop)) {
        ptm_set_hooks(&hooks);
        MUST(ptm_check() == 0);
        ptm_set_hooks(NULL);
        MUST(ptm_check() == 0);
        usleep(1000);
    }
    return unused;
}

static void *(*const bodies[])(void *) = {
    trim, write_info, change_options, read_figures, write_stats, check_and_hook,
};

enum {
    CONTROL_THREADS = sizeof bodies / sizeof *bodies,
    THREADS = ALLOCATING_THREADS + CONTROL_THREADS,
};

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 10;

    trial_watch_for(seconds + TRIAL_WATCHDOG_SECONDS);
    trial_malloc_must_be_ptm();
    for (size_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL,
                            i < CONTROL_THREADS ? bodies[i] : allocate,
                            (void *)i) == 0);
    sleep(seconds);
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    MUST(ptm_check() == 0);
    MUST(atomic_load(&hook_calls) > 0);
    MUST(atomic_load(&next_tag) > 1000);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i].block);
    MUST(ptm_check() == 0);
    return 0;
}
