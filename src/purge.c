#include "purge.h"

#include "arena.h"
#include "arenas.h"
#include "bell.h"
#include "caches.h"
#include "harden.h"
#include "limit.h"
#include "lock.h"
#include "mapped.h"
#include "options.h"
#include "os.h"
#include "probes.h"
#include "sleepers.h"
#include "sweep.h"
#include "tcache.h"

/* Guarded by the lock but for what is said to be atomic. */
static struct {
    struct lock lock;
    unsigned arena; /* to be looked at next; 0: no pass is under way */
    size_t sleeper; /* the place among the caches to be looked at next */
    bool is_shed;   /* its depot was made smaller in this pass */
    uint64_t begun; /* when it began, in milliseconds */
    uint64_t due;   /* when the next one may; atomic */
    size_t live;    /* bytes in all arenas, when they were last looked at */
    size_t freed;   /* by all arenas, when memory was out last; atomic */
    uint32_t forks; /* under way in this process; atomic */
} purge = {
    .lock = LOCK_INITIAL(LOCK_RANK_PURGE),
};

static PTM_TLS unsigned slow_calls;

static struct sweep_room room_for_a_step(size_t bytes)
{
    return (struct sweep_room){
        .bytes = bytes,
        .calls = SWEEP_STEP_CALLS,
        .chunks = SWEEP_STEP_CHUNKS,
    };
}

/* ---- everything ---------------------------------------------------------- */

/* Frees what the arena keeps for caches and what has come home to it,
 * releasing the lock now and then. What others send meanwhile is not waited
 * for: there are no more blocks than were in the heaps at first. */
static void empty_depot(struct arena *arena)
{
    size_t rounds = 1;
    for (size_t round = 0; round < rounds && arena_acquire(arena); round++) {
        if (round == 0) {
            rounds += arena->system_bytes / MIN_CHUNK_SIZE / SLOW_STEP;
        }
        arena_sort_arrivals(arena, SLOW_STEP);
        bool more = arena_free_depot(arena, SLOW_STEP);
        more |= arena->arrivals != NULL || inbox_has_any(&arena->inbox);
        arena_release(arena);
        if (!more) {
            break;
        }
    }
}

/* Nor is what others free meanwhile waited for. */
static bool empty_arena(struct arena *arena, size_t pad)
{
    bool any = false;
    bool more = true;
    size_t left = SIZE_MAX;
    while (more && left > 0 && arena_acquire(arena)) {
        struct sweep_room room = room_for_a_step(ASKED_STEP_BYTES);
        left = min_size(left, 2 * arena->system_bytes / os_page_size() + 64);
        more = sweep_all_step(arena, pad, &room);
        left--;
        any |= room.returned > 0;
        arena_release(arena);
    }
    return any;
}

static void lock_purge(void)
{
    while (!lock_acquire(&purge.lock)) {
        purge_after_fork();
    }
}

bool purge_everything(size_t pad)
{
    bool any = mapped_trim();
    tcache_flush();
    harden_release_own();
    any |= caches_drop_spares();
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena *arena = arena_numbered(number);
        empty_depot(arena);
        harden_release(arena);
        lock_purge();
        any |= empty_arena(arena, pad);
        lock_release(&purge.lock);
    }
    return any;
}

/* ---- when memory is short ------------------------------------------------ */

/* Whether any arena has freed something, or has something to free. */
static bool something_was_freed(void)
{
    size_t freed = 0;
    bool any = false;
    for (unsigned number = 1; number <= arenas_count(); number++) {
        const struct arena *arena = arena_numbered(number);
        freed += __atomic_load_n(&arena->sweeps.freed, __ATOMIC_RELAXED);
        any |= !arena->is_abandoned && arena_may_shed_depot(arena);
    }
    return __atomic_exchange_n(&purge.freed, freed, __ATOMIC_RELAXED) !=
               freed ||
           any;
}

/* What is free in all arenas: more does not go back. */
static bool so_much_is_free(size_t bytes)
{
    size_t free_bytes = 0;
    for (unsigned number = 1; number <= arenas_count() && free_bytes < bytes;
         number++) {
        struct arena *arena = arena_numbered(number);
        if (arena_acquire(arena)) {
            free_bytes += arena->system_bytes - arena_live_bytes(arena);
            free_bytes += arena->depot.bytes;
            arena_release(arena);
        }
    }
    return free_bytes >= bytes;
}

bool purge_for_memory(size_t bytes)
{
    bool any = mapped_trim();
    if (so_much_is_free(bytes) && something_was_freed()) {
        any |= purge_everything(0);
    }
    return any;
}

void purge_for_growth(void)
{
    lock_purge();
    bool has_room = !limit_is_due() || limit_look();
    lock_release(&purge.lock);
    if (!has_room) {
        purge_everything(0);
        limit_look();
    }
}

/* ---- a pass ---------------------------------------------------------------
 */

/* A step in one arena; true when there is more to do there. */
static bool step_in_arena(struct arena *arena)
{
    if (!arena_acquire(arena)) {
        return false;
    }
    struct sweep_room room = room_for_a_step(SWEEP_STEP_BYTES);
    bool more = true;
    size_t live = arena_live_bytes(arena);
    purge.live += live - arena->sweeps.live_seen;
    arena->sweeps.live_seen = live;
    if (purge.is_shed) {
        more = sweep_step(arena, SWEEP_OLD, &room);
    } else {
        purge.is_shed = !arena_shed_depot(arena);
    }
    arena_release(arena);
    return more;
}

static bool arena_is_at_rest(struct arena *arena)
{
    return !sweep_is_wanted(arena) && !arena_may_shed_depot(arena);
}

static void go_on_to(unsigned arena)
{
    purge.arena = arena;
    purge.is_shed = false;
}

static void begin_pass(void)
{
    purge.begun = os_milliseconds();
    purge.sleeper = 0;
    go_on_to(1);
}

static void finish_pass(void)
{
    mapped_expire();
    caches_note_live(purge.live);
    caches_expire_spares();
    if (limit_is_tight()) {
        limit_reset();
    }
    __atomic_store_n(&purge.due, purge.begun + purge_interval(),
                     __ATOMIC_RELAXED);
    go_on_to(0);
}

static bool step_of_pass(void)
{
    if (purge.arena == 0) {
        begin_pass();
    }
    if (sleepers_step(&purge.sleeper)) {
        return true;
    }
    while (purge.arena <= arenas_count() &&
           arena_is_at_rest(arena_numbered(purge.arena))) {
        go_on_to(purge.arena + 1);
    }
    if (purge.arena > arenas_count()) {
        finish_pass();
        return false;
    }
    PROBE_1(ptm, purge_step, purge.arena);
    if (!step_in_arena(arena_numbered(purge.arena))) {
        go_on_to(purge.arena + 1);
    }
    return true;
}

bool purge_step(void)
{
    if (!lock_try(&purge.lock)) {
        return false;
    }
    bool more =
        __atomic_load_n(&purge.forks, __ATOMIC_RELAXED) == 0 && step_of_pass();
    lock_release(&purge.lock);
    return more;
}

bool purge_is_wanted(void)
{
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena *arena = arena_numbered(number);
        if (!arena->is_abandoned && !arena_is_at_rest(arena)) {
            return true;
        }
    }
    return mapped_keeps_any() || caches_have_spares() ||
           sleepers_are_expected();
}

uint64_t purge_interval(void)
{
    return option_get(OPTION_DECAY) / 2;
}

/* A pass that is under way goes on at the next tick. */
PTM_NOINLINE static void look_at_the_clock(void)
{
    slow_calls = 0;
    if (bell_has_helper() ||
        os_milliseconds() < __atomic_load_n(&purge.due, __ATOMIC_RELAXED)) {
        return;
    }
    if (purge_step()) {
        slow_calls = PURGE_PATIENCE - 1;
    }
}

void purge_tick(void)
{
    bell_ring();
    if (++slow_calls >= PURGE_PATIENCE) {
        look_at_the_clock();
    }
}

void purge_leave_to_helper(bool has_helper)
{
    __atomic_store_n(&bell_helper, has_helper, __ATOMIC_RELAXED);
}

/* From here on no step begins, and one that has begun is waited for: who has
 * had the lock meanwhile knows that there is none, and who makes the next step
 * gets the lock after him, and sees the fork. It is not kept: other handlers of
 * fork may call malloc_trim, or wait for who does.
 *
 * Where this thread has a lock, it is in a signal handler, or so it seems: the
 * helper may be waiting for that lock. (Without assertions nobody keeps count,
 * and it is waited in vain, for a moment.) */
void purge_before_fork(void)
{
    __atomic_add_fetch(&purge.forks, 1, __ATOMIC_RELAXED);
    if (!bell_has_helper() || lock_ranks_held != 0 ||
        lock_is_mine(&purge.lock)) {
        return;
    }
    for (int i = 0; i < FORK_PATIENCE; i++) {
        if (lock_try(&purge.lock)) {
            lock_release(&purge.lock);
            return;
        }
        os_yield();
    }
}

/* In a child made by a signal handler, which came in the middle of a fork, that
 * one is counted no more when it ends. */
void purge_after_fork_in_parent(void)
{
    uint32_t now = __atomic_load_n(&purge.forks, __ATOMIC_RELAXED);
    while (now > 0 &&
           !__atomic_compare_exchange_n(&purge.forks, &now, now - 1, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

void purge_after_fork(void)
{
    __atomic_store_n(&purge.forks, 0, __ATOMIC_RELAXED);
    if (lock_is_confirmed(&purge.lock)) {
        return;
    }
    if (lock_is_orphaned(&purge.lock)) {
        go_on_to(0);
        lock_reset(&purge.lock);
    }
    lock_confirm(&purge.lock);
}
