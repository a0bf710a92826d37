/*
 * concurrent.c - everything at once: threads that come and go allocate,
 * resize and free, hand each other blocks, and meanwhile one more purges,
 * counts and inspects the whole heap.
 *
 *     worker ---block---> mailbox ---block---> worker
 *
 * A block carries its size and a seed, and bytes that follow from them; who
 * takes a block out of a mailbox, resizes or frees it looks whether they are
 * as its last owner wrote them. In the end nothing may be left: after a last
 * purge every arena is one free chunk, and no mapping is there.
 *
 * Half of the blocks are of a few small sizes, so that runs serve them, and
 * many of those objects are freed by threads of other arenas, and some while
 * the kernel has a part of their page. One arena after the other becomes
 * common, while its threads are at work.
 *
 * concurrent [SECONDS]. The thread sanitizer's build is where this program is
 * most wanted.
 */
#define _GNU_SOURCE
#include "alloc.h"

#include "unit.h"

#include <pthread.h>
#include <time.h>

#include "actor.h"
#include "arenas.h"
#include "inspect.h"
#include "mapped.h"
#include "options.h"
#include "purge.h"
#include "rng.h"
#include "tcache.h"

enum {
    WORKERS = 6,
    SLOTS = 48,
    MAILBOXES = 32,
    MOST_STEPS = 20000,
    FIRST_ARENAS = 3,
    ROUNDS_TO_COMMON = 5,
    SECONDS = 5,
};

struct block {
    uint32_t size; /* of all of it, at least that of this struct */
    uint32_t seed;
    unsigned char bytes[];
};

static _Atomic(struct block *) mailboxes[MAILBOXES];
static atomic_bool is_over;
static atomic_ulong objects_freed;
static atomic_ulong objects_sent;    /* of them, by threads of other arenas */
static atomic_ulong objects_taken;   /* ... whose caches take them */
static atomic_ulong objects_watched; /* ... and those of watched pages */

/* ---- blocks ------------------------------------------------------------- */

/* Of a large block only the ends are written: it is the allocator that is
 * under test, not the memory. */
static size_t end_length(const struct block *block)
{
    return min_size((block->size - sizeof *block) / 2, 200);
}

static unsigned char byte_at(const struct block *block, size_t i)
{
    return (unsigned char)(block->seed + i * 31);
}

static void stamp(struct block *block, size_t size, uint32_t seed)
{
    block->size = (uint32_t)size;
    block->seed = seed;
    unsigned char *end = (unsigned char *)block + size;
    for (size_t i = 0; i < end_length(block); i++) {
        block->bytes[i] = byte_at(block, i);
        end[-1 - (ptrdiff_t)i] = byte_at(block, ~i);
    }
}

static void verify(const struct block *block)
{
    const unsigned char *end = (const unsigned char *)block + block->size;
    for (size_t i = 0; i < end_length(block); i++) {
        MUST(block->bytes[i] == byte_at(block, i));
        MUST(end[-1 - (ptrdiff_t)i] == byte_at(block, ~i));
    }
    MUST(alloc_usable_size(block) >= block->size);
}

/* Most are small; some are mapped. */
static size_t random_size(struct rng *rng)
{
    static const size_t favourites[] = {16, 48, 112, 1024};
    if (rng_below(rng, 2) == 0) {
        return favourites[rng_below(rng, count_of(favourites))];
    }
    unsigned shift = rng_below(rng, 64) == 0 ? 15 : (unsigned)rng_below(rng, 9);
    size_t most = (size_t)64 << shift;
    return sizeof(struct block) + rng_below(rng, most);
}

static struct block *new_block(struct rng *rng)
{
    size_t size = random_size(rng);
    struct block *block;
    switch (rng_below(rng, 8)) {
    case 0:
        block = alloc_memalign((size_t)32 << rng_below(rng, 11), size);
        break;
    case 1:
        block = alloc_calloc(size);
        MUST(block != NULL && block->size == 0 && block->seed == 0);
        MUST(((unsigned char *)block)[size - 1] == 0);
        break;
    default:
        block = alloc_malloc(size);
    }
    MUST(block != NULL);
    stamp(block, size, (uint32_t)rng_next(rng));
    return block;
}

/* Where there is a slot. */
static bool is_taken(const struct block *block)
{
    unsigned owner = tag_owner(tcache_tag_of(block));
    return owner == TAG_COMMON &&
           tcache_self()->first_tag == tag_of(TAG_COMMON, 1);
}

static void count_object(const struct block *block)
{
    unsigned owner = owner_of(mem2chunk(block));
    if (owner != 0 && block_run_class(block) != 0) {
        atomic_fetch_add(&objects_freed, 1);
        if (owner != tcache_self()->owner) {
            atomic_fetch_add(&objects_sent, 1);
            atomic_fetch_add(&objects_taken, is_taken(block));
        }
        if ((heap_page_byte(heap_for_ptr(block), block) & RUN_WATCHED) != 0) {
            atomic_fetch_add(&objects_watched, 1);
        }
    }
}

static void free_block(struct block *block)
{
    verify(block);
    count_object(block);
    alloc_free(block);
}

static struct block *resize_block(struct block *block, struct rng *rng)
{
    verify(block);
    struct block before = *block;
    size_t size = random_size(rng);
    block = alloc_realloc(block, size);
    MUST(block != NULL);
    MUST(block->size == before.size && block->seed == before.seed);
    if (size >= before.size) {
        verify(block);
    }
    stamp(block, size, (uint32_t)rng_next(rng));
    return block;
}

/* ---- workers ------------------------------------------------------------ */

static void step(struct block **slot, struct rng *rng)
{
    _Atomic(struct block *) *mailbox = &mailboxes[rng_below(rng, MAILBOXES)];
    unsigned choice = (unsigned)rng_below(rng, 8);
    if (choice < 2) {
        *slot = atomic_exchange(mailbox, *slot);
    } else if (*slot == NULL) {
        *slot = new_block(rng);
    } else if (choice == 2) {
        *slot = resize_block(*slot, rng);
    } else {
        free_block(*slot);
        *slot = NULL;
    }
}

/* Lives for a while. What it has then goes to whoever finds it, or is freed.
 */
static void *work(void *seed)
{
    struct rng rng = {(uintptr_t)seed};
    struct block *slots[SLOTS] = {NULL};
    uint64_t steps = rng_below(&rng, MOST_STEPS);
    for (uint64_t i = 0; i < steps; i++) {
        step(&slots[rng_below(&rng, SLOTS)], &rng);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        struct block *block =
            atomic_exchange(&mailboxes[rng_below(&rng, MAILBOXES)], slots[i]);
        if (block != NULL) {
            free_block(block);
        }
    }
    return NULL;
}

/* ---- one that looks after all ------------------------------------------- */

static void must_be_sound(void)
{
    struct damage damage;
    if (!inspect_everything(&damage)) {
        dprintf(2, "%s at %p, arena %u\n", damage.what, damage.address,
                damage.arena);
        _exit(1);
    }
}

static void count_all(void)
{
    struct arena_stats sum = {0};
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena_stats stats;
        MUST(arena_stats(arena_numbered(number), &stats));
        arena_stats_add(&sum, &stats);
    }
    MUST(sum.free_bytes <= sum.system_bytes);
    MUST(sum.system_bytes <= sum.address_bytes);
    struct mapped_totals totals = mapped_get_totals();
    MUST(totals.count <= totals.max_count && totals.bytes <= totals.max_bytes);
}

static void count_bins(struct arena *arena)
{
    struct bin_stats stats;
    unsigned position = 0;
    MUST(arena_acquire(arena));
    while (bin_stats_next(arena, &position, &stats)) {
        MUST(stats.least <= stats.most && stats.bytes >= stats.count * 32);
    }
    arena_release(arena);
}

/* What mallopt may set, and ptm_set_hooks, while others allocate. */
static void change_options(struct rng *rng)
{
    option_set(OPTION_TRIM_THRESHOLD, 4096u << rng_below(rng, 12));
    option_set(OPTION_MMAP_THRESHOLD, 16384u << rng_below(rng, 6));
    option_set(OPTION_TOP_PAD, rng_below(rng, 2) * 100000);
    option_set(OPTION_RUN_MAX, (size_t)64 << rng_below(rng, 5));
    tcache_bypass(rng_below(rng, 4) == 0);
}

static void make_common(struct arena *arena)
{
    MUST(arena_acquire(arena));
    arena_make_common(arena);
    arena_release(arena);
}

static void *look_after(void *unused)
{
    struct rng rng = {99};
    unsigned rounds = 0, common = 0;
    while (!atomic_load(&is_over)) {
        change_options(&rng);
        must_be_sound();
        count_all();
        count_bins(arena_numbered(1 + (unsigned)rng_below(&rng, FIRST_ARENAS)));
        purge_everything(rng_below(&rng, 100000));
        if (++rounds % ROUNDS_TO_COMMON == 0 && common < arenas_count()) {
            make_common(arena_numbered(++common));
        }
    }
    return unused;
}

/* ---- the whole ---------------------------------------------------------- */

static void get_arena(void *arena)
{
    *(struct arena **)arena = arena_get2(NULL);
}

static void release_arena(void *arena)
{
    arena_release(*(struct arena **)arena);
}

/* There are several arenas from the start, whatever contention there will be.
 */
static void make_arenas(void)
{
    struct actor holders[FIRST_ARENAS];
    struct arena *arenas[FIRST_ARENAS];
    for (int i = 0; i < FIRST_ARENAS; i++) {
        actor_start(&holders[i]);
        actor_do(&holders[i], get_arena, &arenas[i]);
    }
    for (int i = 0; i < FIRST_ARENAS; i++) {
        actor_do(&holders[i], release_arena, &arenas[i]);
        actor_end(&holders[i]);
    }
    MUST(arenas_count() == FIRST_ARENAS);
}

static void run_workers_until(time_t end)
{
    pthread_t workers[WORKERS];
    uintptr_t seed = 0;
    for (int i = 0; i < WORKERS; i++) {
        MUST(pthread_create(&workers[i], NULL, work, (void *)++seed) == 0);
    }
    while (time(NULL) < end || atomic_load(&objects_taken) == 0) {
        pthread_t *worker = &workers[seed % WORKERS];
        MUST(pthread_join(*worker, NULL) == 0);
        MUST(pthread_create(worker, NULL, work, (void *)++seed) == 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        MUST(pthread_join(workers[i], NULL) == 0);
    }
    printf("%lu threads, %u arenas\n", (unsigned long)seed, arenas_count());
}

static void nothing_must_be_left(void)
{
    for (size_t i = 0; i < MAILBOXES; i++) {
        struct block *block = atomic_exchange(&mailboxes[i], NULL);
        if (block != NULL) {
            free_block(block);
        }
    }
    purge_everything(0);
    must_be_sound();
    MUST(mapped_count() == 0 && mapped_get_totals().bytes == 0);
    size_t heaps = 0;
    for (unsigned number = 1; number <= arenas_count(); number++) {
        const struct arena *arena = arena_numbered(number);
        bool is_empty =
            arena->top == NULL || arena->top == heap_first_chunk(arena->heaps);
        is_empty &= arena->runs.count == 0 && arena->runs.spares == 0;
        if (!is_empty || arena->bins.count > 0 || arena->heap_count > 1) {
            dprintf(2, "arena %u: %zu heaps, %zu free chunks, %zu in depot\n",
                    number, arena->heap_count, arena->bins.count,
                    arena->depot.blocks);
            _exit(1);
        }
        heaps += arena->heap_count;
    }
    MUST(heaps == heap_count());
}

int main(int argument_count, char **arguments)
{
    int seconds = argument_count > 1 ? atoi(arguments[1]) : SECONDS;
    pthread_t keeper;
    trial_watch_for(UNIT_WATCHDOG_SECONDS + (unsigned)seconds);
    make_arenas();
    MUST(pthread_create(&keeper, NULL, look_after, NULL) == 0);
    run_workers_until(time(NULL) + seconds);
    atomic_store(&is_over, true);
    MUST(pthread_join(keeper, NULL) == 0);
    nothing_must_be_left();
    printf("%lu objects freed, %lu of them by threads of other arenas, %lu of "
           "these for their caches, %lu of watched pages\n",
           atomic_load(&objects_freed), atomic_load(&objects_sent),
           atomic_load(&objects_taken), atomic_load(&objects_watched));
    MUST(atomic_load(&objects_freed) > 100 && atomic_load(&objects_sent) > 0);
    MUST(atomic_load(&objects_watched) > 0);
    return 0;
}
