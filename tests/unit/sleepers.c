/*
 * sleepers.c - what sleeping threads have in their caches goes home, while they
 * may wake at any moment.
 */
#define _GNU_SOURCE
#include "sleepers.h"

#include "unit.h"

#include <sys/wait.h>
#include <time.h>

#include "actor.h"
#include "alloc.h"
#include "arenas.h"
#include "caches.h"
#include "child.h"
#include "faulty_syscall.h"
#include "helper.h"
#include "inspect.h"
#include "options.h"
#include "os.h"
#include "purge.h"
#include "rng.h"
#include "tcache.h"

enum {
    FEW = 8,      /* blocks, which a cache has slots for */
    SIZES = 9,    /* of which an object or a chunk each */
    HELD = 60,    /* by a thread at once */
    TURNS = 4000, /* in which it takes and gives many or few */
    THREADS = 3,
};

static const size_t sizes[SIZES] = {16,   48,   112,   320,   800,
                                    2000, 5000, 20000, 100000};

static void all_must_be_sound(void)
{
    struct damage damage;
    MUST(inspect_everything(&damage));
}

static void sleep_for(long milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

/* Where the cache is listed. */
static size_t place_of(const struct tcache *cache)
{
    size_t place = 0;
    while (place < CACHES_LISTED && caches_listed[place] != cache) {
        place++;
    }
    MUST(place < CACHES_LISTED);
    return place;
}

static size_t in_class(const struct tcache *cache, unsigned size_class)
{
    return (size_t)cache->top[size_class] - cache->base[size_class];
}

static size_t most_in_a_class(const struct tcache *cache)
{
    size_t most = 0;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        most = in_class(cache, i) > most ? in_class(cache, i) : most;
    }
    return most;
}

static size_t blocks_in_cache(const struct tcache *cache)
{
    size_t count = 0;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        count += in_class(cache, i);
    }
    return count;
}

/* ---- the thread that sleeps ---------------------------------------------- */

/* What an actor tells of its cache. */
struct told {
    struct tcache *cache;
    void *newest;
};

/* Leaves some of each size in its cache; so often that there are slots. */
static void fill_cache(void *argument)
{
    struct told *told = argument;
    void *blocks[FEW];
    for (int round = 0; round < FEW; round++) {
        for (int size = 0; size < SIZES; size++) {
            for (int i = 0; i < FEW; i++) {
                MUST((blocks[i] = alloc_malloc(sizes[size])) != NULL);
            }
            for (int i = 0; i < FEW; i++) {
                alloc_free(blocks[i]);
            }
            told->newest = blocks[FEW - 1];
        }
    }
    told->cache = tcache_self();
}

static void take_the_newest(void *argument)
{
    const struct told *told = argument;
    void *mem = alloc_malloc(sizes[SIZES - 1]);
    MUST(mem == told->newest);
    alloc_free(mem);
}

static void the_arrays_must_be_at_home(struct tcache *cache)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        MUST(cache->base[i] == cache->home[i]);
        MUST(*tcache_slot(cache, cache->base[i]) == tcache_bottom_of(cache, i));
    }
}

static void all_but_the_newest_go_home(void *unused)
{
    struct actor actor;
    struct told told;
    (void)unused;
    actor_start(&actor);
    actor_do(&actor, fill_cache, &told);
    size_t held = caches_bytes();
    MUST(most_in_a_class(told.cache) > 2);
    MUST(sleepers_rob(place_of(told.cache)));
    MUST(most_in_a_class(told.cache) == 1);
    MUST(caches_bytes() < held);
    all_must_be_sound();
    MUST(!sleepers_rob(place_of(told.cache)));
    /* Awake, it finds what it had last, and then all else. */
    actor_do(&actor, take_the_newest, &told);
    actor_do(&actor, fill_cache, &told);
    MUST(most_in_a_class(told.cache) > 2);
    MUST(!told.cache->was_visited && told.cache->missed == 0);
    the_arrays_must_be_at_home(told.cache);
    all_must_be_sound();
    /* And once more, with nothing between two visits but fast calls. */
    MUST(sleepers_rob(place_of(told.cache)));
    actor_do(&actor, take_the_newest, &told);
    MUST(!sleepers_rob(place_of(told.cache)));
    actor_end(&actor);
    MUST(caches_bytes() == 0);
    purge_everything(0);
    all_must_be_sound();
}

static void a_busy_thread_is_left_alone(void *unused)
{
    struct actor actor;
    struct told told;
    (void)unused;
    actor_start(&actor);
    actor_do(&actor, fill_cache, &told);
    size_t before = blocks_in_cache(told.cache);
    told.cache->busy++;
    MUST(!sleepers_rob(place_of(told.cache)));
    told.cache->busy--;
    MUST(blocks_in_cache(told.cache) == before);
    MUST(sleepers_rob(place_of(told.cache)));
    actor_end(&actor);
}

static void flush(void *unused)
{
    (void)unused;
    tcache_flush();
}

static void end_cache(void *unused)
{
    (void)unused;
    tcache_destroy();
}

/* And one that ends. */
static void a_slow_call_waits_for_a_visitor(void *unused)
{
    struct actor actor;
    struct told told;
    (void)unused;
    actor_start(&actor);
    actor_do(&actor, fill_cache, &told);
    MUST(caches_visit(place_of(told.cache)) == told.cache);
    actor_begin(&actor, flush, NULL);
    actor_await_sleep(&actor);
    MUST(blocks_in_cache(told.cache) > 0);
    caches_leave();
    actor_finish(&actor);
    MUST(blocks_in_cache(told.cache) == 0);
    actor_do(&actor, fill_cache, &told);
    MUST(caches_visit(place_of(told.cache)) == told.cache);
    actor_begin(&actor, end_cache, NULL);
    actor_await_sleep(&actor);
    MUST(blocks_in_cache(told.cache) > 0); /* it is still there */
    caches_leave();
    actor_finish(&actor);
    for (size_t place = 0; place < CACHES_LISTED; place++) {
        MUST(caches_listed[place] != told.cache);
    }
    actor_end(&actor);
}

/* ---- a thread that wakes in the middle -----------------------------------
 *
 * The thread sleeps, and the test plays its processor: what the thread has done
 * to its cache reaches memory when it is said here, at a barrier at the latest.
 */

enum {
    BARRIERS = 3,
};

static struct {
    void (*before[BARRIERS + 1])(void); /* that barrier, from 1 */
    unsigned barriers;
    struct tcache *cache;
    unsigned size_class;
    size_t cut;
    void *at_cut;
    void *newest;
} race;

bool __real_os_barrier_everywhere(void);
bool __wrap_os_barrier_everywhere(void);

bool __wrap_os_barrier_everywhere(void)
{
    if (++race.barriers <= BARRIERS && race.before[race.barriers] != NULL) {
        race.before[race.barriers]();
    }
    return __real_os_barrier_everywhere();
}

static void **slot_at(size_t place)
{
    return tcache_slot(race.cache, place);
}

/* It has taken two and put them back the other way round. */
static void swap_newest(void)
{
    *slot_at(race.cut) = race.newest;
    *slot_at(race.cut + 1) = race.at_cut;
}

/* It has taken the newest, and loaded the one below. */
static void be_about_to_take_the_next(void)
{
    race.cache->top[race.size_class]--;
}

static void choose_class(struct tcache *cache)
{
    race.cache = cache;
    while (in_class(cache, race.size_class) < 4) {
        race.size_class++;
    }
    race.cut = cache->top[race.size_class] - 1u;
    race.at_cut = *slot_at(race.cut);
    race.newest = *slot_at(race.cut + 1);
}

/* Robs the thread while it does this before that barrier; the class must have
 * as many blocks then as it had, and others fewer. */
static void nothing_must_be_taken(void (*what)(void), unsigned barrier,
                                  size_t count)
{
    struct actor actor;
    struct told told;
    actor_start(&actor);
    actor_do(&actor, fill_cache, &told);
    choose_class(told.cache);
    size_t before = in_class(told.cache, race.size_class);
    size_t all = blocks_in_cache(told.cache);
    race.before[barrier] = what;
    race.barriers = 0;
    MUST(sleepers_rob(place_of(told.cache)));
    MUST(race.barriers == BARRIERS);
    MUST(blocks_in_cache(told.cache) < all - before);
    MUST(in_class(told.cache, race.size_class) == before - count);
    if (count > 0) {
        MUST(*slot_at(race.cut) == race.at_cut);
        race.cache->top[race.size_class]++;
    } else {
        MUST(*slot_at(race.cut) == race.newest);
        MUST(*slot_at(race.cut + 1) == race.at_cut);
    }
    actor_do(&actor, fill_cache, &told);
    all_must_be_sound();
    actor_end(&actor);
}

static void one_that_went_below_the_cut_and_back_keeps_all(void *unused)
{
    (void)unused;
    nothing_must_be_taken(swap_newest, 2, 0);
}

static void its_store_may_be_late(void *unused)
{
    (void)unused;
    nothing_must_be_taken(swap_newest, 3, 0);
}

static void one_that_is_at_the_cut_keeps_all(void *unused)
{
    (void)unused;
    nothing_must_be_taken(be_about_to_take_the_next, 2, 1);
}

/* ---- what is refused ----------------------------------------------------- */

static void nothing_is_taken_where_a_barrier_is_refused(void *unused)
{
    struct actor actor;
    struct told told;
    (void)unused;
    actor_start(&actor);
    actor_do(&actor, fill_cache, &told);
    MUST(os_barrier_everywhere());
    size_t before = blocks_in_cache(told.cache);
    for (unsigned long first = 1; first <= 3; first++) {
        const struct faulty_plan refuse = {.kinds = FAULTY_MEMBARRIER,
                                           .first = first,
                                           .how_many = FAULTY_FOR_EVER,
                                           .error = ENOSYS};
        faulty_use(&refuse);
        MUST(!sleepers_rob(place_of(told.cache)));
        MUST(faulty_calls_refused() > 0);
        faulty_use(NULL);
        MUST(blocks_in_cache(told.cache) == before);
        actor_do(&actor, take_the_newest, &told);
        all_must_be_sound();
    }
    actor_do(&actor, flush, NULL);
    MUST(blocks_in_cache(told.cache) == 0);
    actor_end(&actor);
}

static void nothing_is_taken_where_it_cannot_be_written_down(void *unused)
{
    const struct faulty_plan refuse = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    struct actor actor;
    struct told told;
    (void)unused;
    actor_start(&actor);
    actor_do(&actor, fill_cache, &told);
    faulty_use(&refuse);
    while (parcel_get() != NULL) {
    }
    size_t before = blocks_in_cache(told.cache);
    MUST(!sleepers_rob(place_of(told.cache)));
    MUST(blocks_in_cache(told.cache) == before);
    faulty_use(NULL);
    actor_do(&actor, take_the_newest, &told);
    actor_end(&actor);
    all_must_be_sound();
}

/* ---- forks ----------------------------------------------------------------
 */

/* In the middle of step 2: half of the classes. */
static void put_some_aside(void *argument)
{
    struct tcache *cache = argument;
    MUST(caches_visit(place_of(cache)) == cache);
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        if (in_class(cache, i) < 2) {
            continue;
        }
        void **slot = tcache_slot(cache, cache->top[i] - 1u);
        caches_visited.taken[caches_visited.count++] = (struct taken_out){
            .slot = slot,
            .mem = *slot,
            .bottom = tcache_bottom_of(cache, i),
            .base = &cache->base[i],
            .place = (uint16_t)(cache->top[i] - 1),
        };
        *slot = tcache_bottom_of(cache, i);
    }
    MUST(caches_visited.count > 3);
    /* One is done. */
    cache->was_visited = true;
    cache->base[caches_visited.taken[0].base - cache->base] =
        caches_visited.taken[0].place;
}

static void use_cache_in_child(struct tcache *cache, size_t expected)
{
    struct told told;
    lock_note_fork();
    caches_after_fork_in_visit();
    tcache_after_fork();
    MUST(blocks_in_cache(cache) == expected);
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        for (size_t at = 1; at <= in_class(cache, i); at++) {
            MUST(*tcache_slot(cache, cache->base[i] + at) !=
                 tcache_bottom_of(cache, i));
        }
    }
    fill_cache(&told);
    MUST(!caches_is_visited(cache));
}

static void the_child_of_a_fork_ends_a_visit(void *unused)
{
    struct actor actor;
    struct told told;
    int status;
    (void)unused;
    fill_cache(&told);
    size_t before = blocks_in_cache(told.cache);
    actor_start(&actor);
    actor_do(&actor, put_some_aside, told.cache);
    const struct taken_out *done = &caches_visited.taken[0];
    size_t lost = before - blocks_in_cache(told.cache);
    MUST(lost > 0 && *done->base == done->place);
    pid_t child = fork();
    if (child == 0) {
        use_cache_in_child(told.cache, before - lost);
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child);
    MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    _exit(0); /* the visit never ends here */
}

/* ---- the helper -----------------------------------------------------------
 */

static void the_helper_visits_who_sleeps(void *unused)
{
    struct actor actor;
    struct told told;
    (void)unused;
    option_set(OPTION_DECAY, 4);
    helper_start(pthread_create);
    actor_start(&actor);
    actor_do(&actor, fill_cache, &told);
    while (most_in_a_class(told.cache) > 1) {
        sleep_for(5);
    }
    while (purge_is_wanted()) {
        sleep_for(5);
    }
    actor_do(&actor, take_the_newest, &told);
    sleepers_be_quiet();
    actor_do(&actor, fill_cache, &told);
    sleepers_expect();
    while (purge_is_wanted()) {
        sleep_for(5);
    }
    MUST(most_in_a_class(told.cache) > 2);
    helper_stop();
    actor_end(&actor);
    all_must_be_sound();
}

/* ---- awake -----------------------------------------------------------------
 */

/* A block says in its first words whose it is: who finds anything else has been
 * given what another has. */
struct stamp {
    uintptr_t thread;
    uintptr_t turn;
};

static void *take_stamped(struct rng *rng, struct stamp stamp)
{
    struct stamp *block = alloc_malloc(sizes[rng_below(rng, SIZES)]);
    MUST(block != NULL);
    *block = stamp;
    return block;
}

static void give_stamped(void *mem, struct stamp stamp)
{
    const struct stamp *block = mem;
    MUST(block->thread == stamp.thread && block->turn == stamp.turn);
    alloc_free(mem);
}

static atomic_int finished;

/* Now deep into the arrays and now at their tops. */
static void take_and_give(void *argument)
{
    struct rng rng = {(uintptr_t)argument};
    void *held[HELD];
    for (uintptr_t turn = 0; turn < TURNS; turn++) {
        struct stamp stamp = {(uintptr_t)argument, turn};
        size_t many = rng_below(&rng, 4) == 0 ? HELD : 4;
        for (int again = 0; again < 20; again++) {
            size_t count = 1 + rng_below(&rng, many);
            for (size_t i = 0; i < count; i++) {
                held[i] = take_stamped(&rng, stamp);
            }
            for (size_t i = 0; i < count; i++) {
                give_stamped(held[i], stamp);
            }
        }
    }
    atomic_fetch_add(&finished, 1);
}

static void nobody_gets_what_another_has(void *unused)
{
    struct actor actors[THREADS];
    struct told told[THREADS];
    size_t robbed = 0;
    (void)unused;
    for (uintptr_t i = 0; i < THREADS; i++) {
        actor_start(&actors[i]);
        actor_do(&actors[i], fill_cache, &told[i]);
        actor_begin(&actors[i], take_and_give, (void *)(i + 1));
    }
    while (atomic_load(&finished) < THREADS) {
        for (int i = 0; i < THREADS; i++) {
            robbed += sleepers_rob(place_of(told[i].cache));
        }
    }
    for (int i = 0; i < THREADS; i++) {
        actor_finish(&actors[i]);
        actor_end(&actors[i]);
    }
    MUST(robbed > THREADS);
    all_must_be_sound();
    purge_everything(0);
    struct arena_stats stats;
    for (unsigned number = 1; number <= arenas_count(); number++) {
        MUST(arena_stats(arena_numbered(number), &stats));
        MUST(stats.free_chunks == stats.heaps && stats.heaps <= 1);
    }
}

/* The thread sanitizer's build has no barriers, so there is nothing to be
 * taken: see tsan.c. */
static int run_what_needs_no_barrier(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_child(a_slow_call_waits_for_a_visitor),
        unit_test_in_child(the_child_of_a_fork_ends_a_visit),
    };
    return UNIT_RUN(tests);
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_child(all_but_the_newest_go_home),
        unit_test_in_child(a_busy_thread_is_left_alone),
        unit_test_in_child(a_slow_call_waits_for_a_visitor),
        unit_test_in_child(one_that_went_below_the_cut_and_back_keeps_all),
        unit_test_in_child(its_store_may_be_late),
        unit_test_in_child(one_that_is_at_the_cut_keeps_all),
        unit_test_in_child(nothing_is_taken_where_a_barrier_is_refused),
        unit_test_in_child(nothing_is_taken_where_it_cannot_be_written_down),
        unit_test_in_child(the_child_of_a_fork_ends_a_visit),
        unit_test_in_child(the_helper_visits_who_sleeps),
        unit_test_in_child(nobody_gets_what_another_has),
    };
    return UNIT_RUN(tests);
}

int main(void)
{
    return UNIT_UNDER_TSAN ? run_what_needs_no_barrier() : run_all();
}
