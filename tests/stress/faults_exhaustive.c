/*
 * faults_exhaustive.c - each system call of a scenario is refused, one at a
 * time.
 *
 * The scenario makes heaps, grows and trims them, maps directly, remaps, and
 * brings a thread to an arena of its own. It is played once with nothing
 * refused. Then, for every k, it is played with the k-th call refused, and with
 * all calls from the k-th on refused, until there is no k-th call. Refused
 * memory shows as NULL with ENOMEM and in no other way: what was had is whole
 * and freeable, the heap is sound, and once the kernel is friendly again
 * allocation goes on.
 *
 * Every play is a child of its own, so that each begins with the same heap.
 */
#include "faulty_syscall.h"
#include "other_arena.h"
#include "pattern.h"
#include "rng.h"
#include "trial.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

enum { BLOCKS = 2400, KIB = 1024, MIB = 1024 * 1024 };

/* What is given back by the clock makes a play some calls longer or shorter:
 * the last call was refused when so many plays in turn have none to refuse. */
enum { PLAYS_AT_THE_END = 5 };

/* The blocks that one thread holds, and the sizes they were asked with. */
struct holding {
    void *blocks[BLOCKS];
    size_t sizes[BLOCKS];
    int count;
};

static struct holding of_main_thread;
static struct holding of_other_thread;
static struct faulty_plan plan;

/* What a play reports to the parent. */
static struct report {
    atomic_ulong calls;
    atomic_ulong refused;
    atomic_ulong nulls;
    atomic_bool other_arena;
} * report;

/* What of a block has contents: enough to see it lost, and few pages. */
static size_t filled_of(size_t size)
{
    return size < 600 ? size : 600;
}

static uint64_t tag_of(const struct holding *holding, int i)
{
    return rng_mix((uintptr_t)&holding->blocks[i]);
}

/* Whatever fails, fails with ENOMEM. */
static bool was_given(const void *block)
{
    if (block)
        return true;
    MUST(errno == ENOMEM);
    atomic_fetch_add(&report->nulls, 1);
    return false;
}

static void keep(struct holding *holding, void *block, size_t size)
{
    int i = holding->count;

    if (!was_given(block))
        return;
    MUST(i < BLOCKS);
    MUST(malloc_usable_size(block) >= size);
    pattern_fill(block, filled_of(size), tag_of(holding, i));
    holding->blocks[i] = block;
    holding->sizes[i] = size;
    holding->count++;
}

static void check_block(const struct holding *holding, int i)
{
    size_t filled = filled_of(holding->sizes[i]);

    MUST(pattern_holds(holding->blocks[i], filled, filled, tag_of(holding, i)));
}

static void resize(struct holding *holding, int i, size_t size)
{
    size_t old = filled_of(holding->sizes[i]);
    void *block;

    if (i >= holding->count)
        return;
    block = realloc(holding->blocks[i], size);
    if (!was_given(block)) {
        check_block(holding, i);
        return;
    }
    MUST(
        pattern_holds(block, old, old < size ? old : size, tag_of(holding, i)));
    holding->blocks[i] = block;
    holding->sizes[i] = size;
    pattern_fill(block, filled_of(size), tag_of(holding, i));
}

static void release(struct holding *holding, int i)
{
    check_block(holding, i);
    errno = EDOM;
    free(holding->blocks[i]);
    MUST(errno == EDOM);
}

static void release_all(struct holding *holding)
{
    while (holding->count > 0)
        release(holding, --holding->count);
}

/* 10 MiB of heap blocks, so that a heap grows in many steps. */
static void grow_heap(struct holding *holding)
{
    for (int i = 0; i < 200; i++)
        keep(holding, malloc(50 * KIB), 50 * KIB);
    for (int i = 0; i < 100; i++)
        keep(holding, calloc(1, (size_t)i), (size_t)i);
}

/* Enough of a few small sizes that runs are made for them, and all kinds of
 * requests that those serve then. */
static void fill_runs(struct holding *holding)
{
    static const size_t sizes[] = {16, 48, 400, 1024};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t i = 0; i < 40 + 4000 / sizes[s]; i++)
            keep(holding, malloc(sizes[s]), sizes[s]);
    for (size_t size = 64; size <= 1024; size *= 2)
        for (int i = 0; i < 4; i++)
            keep(holding, memalign(64, size), size);
    for (int i = 1; i <= 10; i++)
        resize(holding, holding->count - i, 16 * (size_t)i);
}

/* More than one heap of 64 MiB holds. */
static void fill_a_heap(struct holding *holding)
{
    int before = holding->count;

    for (int i = 0; i < 330; i++)
        keep(holding, malloc(250 * KIB), 250 * KIB);
    while (holding->count > before)
        release(holding, --holding->count);
}

static void map_directly(struct holding *holding)
{
    int first = holding->count;

    keep(holding, malloc(1 * MIB), 1 * MIB);
    keep(holding, calloc(3, MIB), 3 * MIB);
    keep(holding, memalign(2 * MIB, 5 * MIB), 5 * MIB);
    keep(holding, valloc(400 * KIB), 400 * KIB);
    resize(holding, first, 9 * MIB);
    resize(holding, first, 300 * KIB);
    resize(holding, first + 1, 10 * KIB);
    resize(holding, 0, 2 * MIB);
    resize(holding, 0, 100);
}

/* More mappings than any table of them can have room for at the start. */
static void map_many(struct holding *holding)
{
    for (int i = 0; i < 80; i++)
        keep(holding, malloc(260 * KIB), 260 * KIB);
}

static void allocate_aligned(struct holding *holding)
{
    for (size_t alignment = 16; alignment <= MIB; alignment *= 4)
        keep(holding, aligned_alloc(alignment, 3000), 3000);
    for (int i = 0; i < 5; i++) {
        void *block = NULL;
        int error = posix_memalign(&block, 4096, 20 * KIB);

        errno = error;
        keep(holding, block, 20 * KIB);
    }
}

static void play_scenario(struct holding *holding)
{
    grow_heap(holding);
    fill_runs(holding);
    allocate_aligned(holding);
    map_directly(holding);
    map_many(holding);
    malloc_trim(0);
    fill_a_heap(holding);
    malloc_trim(64 * KIB);
}

/* Where all is refused it is certain that there is no other arena to wait for.
   Elsewhere the calls are to be the same as in the play that was counted. */
static unsigned patience(void)
{
    return plan.how_many > 1 ? 20 : 2000;
}

/* Under faults there may be no other arena: then this plays in the main one. */
static void *play_in_other_arena(void *unused)
{
    faulty_mark_this_thread(true);
    if (attach_to_another_arena(patience()))
        atomic_store(&report->other_arena, true);
    play_scenario(&of_other_thread);
    return unused;
}

/* Under faults there may be no thread at all. */
static void play_thread(void)
{
    pthread_t other;

    if (pthread_create(&other, NULL, play_in_other_arena, NULL) == 0)
        MUST(pthread_join(other, NULL) == 0);
}

static void everything_must_work(void)
{
    struct holding *holding = &of_main_thread;
    unsigned long nulls = atomic_load(&report->nulls);

    play_scenario(holding);
    MUST(atomic_load(&report->nulls) == nulls);
    release_all(holding);
    MUST(ptm_check() == 0);
}

/* What was refused to the allocator is no excuse to lose what was freed. */
static void nothing_may_be_lost(const struct mallinfo2 *before)
{
    struct mallinfo2 now;

    malloc_trim(0); /* what waits in caches counts as used */
    now = mallinfo2();
    MUST(now.hblks == before->hblks);
    MUST(now.hblkhd == before->hblkhd);
    /* The headers of three heaps, too, and of two more that were made because
     * one was refused. */
    MUST(now.uordblks <= before->uordblks + 160 * KIB);
}

static void play(void)
{
    struct mallinfo2 before = mallinfo2();

    trial_watch();
    faulty_mark_this_thread(true);
    faulty_use(&plan);
    play_scenario(&of_main_thread);
    play_thread();
    release_all(&of_main_thread);
    release_all(&of_other_thread);
    malloc_trim(0);
    atomic_store(&report->calls, faulty_calls_counted());
    atomic_store(&report->refused, faulty_calls_refused());
    MUST(ptm_check() == 0);
    faulty_use(NULL);
    nothing_may_be_lost(&before);
    everything_must_work();
    nothing_may_be_lost(&before);
    _exit(0);
}

/* A play that goes wrong is reported with the call that was refused in it. */
static void must_go_well(pid_t child)
{
    int status = 0;

    MUST(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    dprintf(2,
            "the play with call %lu and %lu after it refused ended with "
            "status 0x%x\n",
            plan.first, plan.how_many - 1, (unsigned)status);
    _exit(1);
}

static void play_in_child(unsigned long first, unsigned long how_many)
{
    pid_t child;

    trial_watch();
    memset(report, 0, sizeof *report);
    plan = (struct faulty_plan){.kinds = FAULTY_ALL,
                                .marked_threads_only = true,
                                .first = first,
                                .how_many = how_many};
    child = fork();
    if (child == 0)
        play();
    MUST(child > 0);
    must_go_well(child);
}

int main(void)
{
    unsigned long calls;
    unsigned long refused = 0;
    unsigned long plays_with_nulls = 0;
    int plays_without_refusal = 0;

    trial_watch();
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(report != MAP_FAILED);
    play_in_child(0, 0);
    calls = atomic_load(&report->calls);
    MUST(atomic_load(&report->nulls) == 0);
    MUST(atomic_load(&report->other_arena));
    for (unsigned long k = 1; plays_without_refusal < PLAYS_AT_THE_END; k++) {
        play_in_child(k, 1);
        refused += atomic_load(&report->refused);
        plays_without_refusal =
            atomic_load(&report->refused) > 0 ? 0 : plays_without_refusal + 1;
        play_in_child(k, FAULTY_FOR_EVER);
        plays_with_nulls += atomic_load(&report->nulls) > 0;
    }
    trial_malloc_must_be_ptm();
    dprintf(1,
            "%lu calls, %lu refused one by one, %lu plays in which malloc "
            "returned NULL\n",
            calls, refused, plays_with_nulls);
    MUST(calls > 50 && refused > 50);
    MUST(plays_with_nulls > 0);
    return 0;
}
