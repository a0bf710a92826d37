/*
 * harden.c - hardened mode: which block comes next cannot be foreseen, canaries
 * of every length, kinds, a quarantine that there is no memory for, one that
 * goes with its thread, and two threads that free the same block at once.
 */
#include "harden.h"

#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "arenas.h"
#include "child.h"
#include "faulty_syscall.h"
#include "kind.h"
#include "mapped.h"
#include "options.h"
#include "size.h"
#include "tcache.h"

enum {
    BLOCKS = 64,
    SIZE = 100,
};

static int hardened_mode(void **state)
{
    (void)state;
    option_set(OPTION_HARDENED, 1);
    option_set(OPTION_GUARD, 0);
    tcache_set_limits();
    kinds_are_told = true;
    return 0;
}

static void canaries_of_every_length_are_told(void **state)
{
    (void)state;
    for (size_t size = 1; size < 300; size++) {
        char *mem = alloc_malloc(size);
        assert_int_equal(alloc_usable_size(mem), size);
        memset(mem, 0, size);
        assert_int_equal(alloc_usable_size(mem), size);
        memset(mem, 0xff, size);
        assert_int_equal(alloc_usable_size(mem), size);
        alloc_free(mem);
    }
}

struct overrun {
    size_t size;
    size_t at;
};

static void run_over(void *argument)
{
    const struct overrun *overrun = argument;
    char *mem = alloc_malloc(overrun->size);
    mem[overrun->size + overrun->at] = 0;
    alloc_free(mem);
}

/* A zero in any place behind a block, even if there is but one. */
static void each_byte_behind_is_watched(void **state)
{
    (void)state;
    for (size_t size = 24; size < 40; size++) {
        size_t usable = usable_size_of(request_to_chunk_size(size + 1));
        for (size_t at = 0; at < usable - size; at += 5) {
            struct overrun overrun = {size, at};
            struct ending ending = child_run(run_over, &overrun);
            assert_non_null(
                strstr(ending.words, "free(): bytes after the block"));
        }
    }
}

/* How many of the blocks lie right behind the one that was given before. */
static int followers(void *const *mems)
{
    int count = 0;
    for (int i = 1; i < BLOCKS; i++) {
        count += (char *)mems[i] - (char *)mems[i - 1] == 112;
    }
    return count;
}

static void the_order_of_carving_is_random(void **state)
{
    void *mems[BLOCKS];
    (void)state;
    for (int i = 0; i < BLOCKS; i++) {
        mems[i] = alloc_malloc(SIZE);
    }
    assert_true(followers(mems) < BLOCKS / 2);
    for (int i = 0; i < BLOCKS; i++) {
        alloc_free(mems[i]);
    }
}

/* What was freed last does not come next, nor in the order it was freed. */
static void the_order_of_reuse_is_random(void **state)
{
    enum { ROUNDS = 4 * QUARANTINE_BLOCKS };
    void *last = NULL;
    int same = 0;
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        void *mem = alloc_malloc(SIZE);
        same += mem == last;
        last = mem;
        alloc_free(mem);
    }
    assert_int_equal(same, 0);
}

static void kinds_change_and_blocks_can_be_freed(void **state)
{
    static const size_t sizes[] = {1, 100, 5000, 400000};
    (void)state;
    for (size_t i = 0; i < count_of(sizes); i++) {
        void *mem = alloc_malloc(sizes[i]);
        kind_change(mem, KIND_MALLOC, KIND_NEW, "new");
        assert_int_equal(alloc_usable_size(mem), sizes[i]);
        kind_change(mem, KIND_NEW, KIND_NEW_ARRAY, "new[]");
        kind_change(mem, KIND_ANY, KIND_MALLOC, "delete");
        alloc_free(mem);
    }
    /* Not blocks of any kind. */
    kind_change((void *)64, KIND_NEW, KIND_MALLOC, "delete");
    kind_change((void *)3, KIND_NEW, KIND_MALLOC, "delete");
}

/* Without memory for its books there is no quarantine, and no stock. */
static void there_may_be_no_memory_for_it(void *unused)
{
    const struct faulty_plan plan = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    char *mems[BLOCKS];
    (void)unused;
    /* The arena and its heap are there. */
    option_set(OPTION_HARDENED, 0);
    alloc_free(alloc_malloc(100000));
    option_set(OPTION_HARDENED, 1);
    faulty_use(&plan);
    for (int i = 0; i < BLOCKS; i++) {
        mems[i] = alloc_malloc(SIZE);
        MUST(mems[i] != NULL);
        memset(mems[i], 1, SIZE);
    }
    for (int i = 0; i < BLOCKS; i++) {
        alloc_free(mems[i]);
    }
    MUST(faulty_calls_refused() > 0);
}

/* Both wait for each other before each round; then one is to die. */
struct race {
    int arrived;
    void *mem;
};

static void *free_at_once(void *argument)
{
    struct race *race = argument;
    alloc_free(alloc_malloc(SIZE)); /* so that it has a quarantine */
    __atomic_add_fetch(&race->arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&race->arrived, __ATOMIC_ACQUIRE) < 2) {
        sched_yield();
    }
    alloc_free(race->mem);
    return NULL;
}

static void free_from_two_threads(void *unused)
{
    pthread_t other;
    (void)unused;
    option_set(OPTION_ARENA_MAX, 1);
    struct race race = {.mem = alloc_malloc(SIZE)};
    MUST(pthread_create(&other, NULL, free_at_once, &race) == 0);
    free_at_once(&race);
    pthread_join(other, NULL);
}

static void of_two_frees_at_once_one_is_a_crime(void **state)
{
    enum { ROUNDS = 20 };
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct ending ending = child_run(free_from_two_threads, NULL);
        assert_non_null(strstr(ending.words, "ptm: free(): "));
    }
}

/* Two threads go along a row of chunks, side by side as far as they can, and
 * claim each. */
enum { CLAIMED = 20000 };

struct claims {
    struct chunk *chunks;
    int reached[2];
    int successes[2];
};

struct claimer {
    struct claims *claims;
    int number;
};

static void *claim_all(void *argument)
{
    const struct claimer *claimer = argument;
    struct claims *claims = claimer->claims;
    for (int i = 0; i < CLAIMED; i++) {
        struct chunk *chunk = &claims->chunks[i];
        uint32_t seal = chunk_seal_in_use(chunk, chunk_low(chunk));
        __atomic_store_n(&claims->reached[claimer->number], i,
                         __ATOMIC_RELEASE);
        for (int spins = 0; spins < 1000; spins++) {
            if (__atomic_load_n(&claims->reached[1 - claimer->number],
                                __ATOMIC_ACQUIRE) >= i) {
                break;
            }
        }
        claims->successes[claimer->number] += chunk_claim(chunk, seal);
    }
    return NULL;
}

static void one_of_two_claims_a_block(void **state)
{
    struct claims claims = {
        .chunks = calloc(CLAIMED, sizeof(struct chunk)),
    };
    struct claimer claimers[2] = {{&claims, 0}, {&claims, 1}};
    pthread_t other;
    (void)state;
    assert_non_null(claims.chunks);
    for (int i = 0; i < CLAIMED; i++) {
        chunk_set_head(&claims.chunks[i], MIN_CHUNK_SIZE, CHUNK_PREV_INUSE);
    }
    assert_int_equal(pthread_create(&other, NULL, claim_all, &claimers[1]), 0);
    claim_all(&claimers[0]);
    pthread_join(other, NULL);
    assert_int_equal(claims.successes[0] + claims.successes[1], CLAIMED);
    free(claims.chunks);
}

static void *leave_blocks_behind(void *unused)
{
    void *mems[BLOCKS];
    (void)unused;
    for (int i = 0; i < BLOCKS; i++) {
        mems[i] = alloc_malloc(SIZE);
        MUST(mems[i] != NULL);
    }
    for (int i = 0; i < BLOCKS; i++) {
        alloc_free(mems[i]);
    }
    return NULL;
}

static size_t live_bytes(void)
{
    size_t live = 0;
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena *arena = arena_numbered(number);
        MUST(arena_acquire(arena));
        live += arena_live_bytes(arena);
        arena_release(arena);
    }
    return live;
}

/* Who ends takes nothing along. */
static void an_ended_thread_has_nothing_left(void *unused)
{
    size_t before = 0;
    (void)unused;
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, leave_blocks_behind, NULL) == 0);
        MUST(pthread_join(thread, NULL) == 0);
        /* What a thread needs once, and for the arena it shares. */
        before = i == 2 ? live_bytes() : before;
    }
    MUST(live_bytes() <= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_child(there_may_be_no_memory_for_it),
        cmocka_unit_test(canaries_of_every_length_are_told),
        cmocka_unit_test(each_byte_behind_is_watched),
        cmocka_unit_test(the_order_of_carving_is_random),
        cmocka_unit_test(the_order_of_reuse_is_random),
        cmocka_unit_test(kinds_change_and_blocks_can_be_freed),
        cmocka_unit_test(of_two_frees_at_once_one_is_a_crime),
        cmocka_unit_test(one_of_two_claims_a_block),
        unit_test_in_child(an_ended_thread_has_nothing_left),
    };
    trial_watch_for(UNIT_WATCHDOG_SECONDS);
    return cmocka_run_group_tests(tests, hardened_mode, NULL);
}
