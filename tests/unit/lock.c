/*
 * lock.c - the futex lock: exclusion, waiting and waking, ranks, and what a
 * child of fork finds.
 */
#define _GNU_SOURCE
#include "lock.h"

#include "unit.h"

#include <sched.h>

#include "actor.h"
#include "child.h"

static void acquire(void *lock)
{
    MUST(lock_acquire(lock));
}

static void release(void *lock)
{
    lock_release(lock);
}

static uint32_t state_of(const struct lock *lock)
{
    return __atomic_load_n(&lock->state, __ATOMIC_RELAXED);
}

/* ---- one process -------------------------------------------------------- */

static void a_lock_is_free_held_and_free_again(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    (void)state;
    assert_false(lock_is_mine(&lock));
    assert_true(lock_acquire(&lock));
    assert_true(lock_is_mine(&lock));
    assert_false(lock_try(&lock));
    assert_false(lock_try_patiently(&lock));
    lock_release(&lock);
    assert_false(lock_is_mine(&lock));
    assert_int_equal(state_of(&lock), LOCK_FREE);
    assert_true(lock_try(&lock));
    lock_release(&lock);
    assert_true(lock_try_patiently(&lock));
    lock_release(&lock);
}

static void try_once(void *argument)
{
    struct lock *lock = argument;
    MUST(!lock_try(lock));
    MUST(!lock_try_patiently(lock));
    MUST(!lock_is_mine(lock));
}

static void a_held_lock_is_not_for_others(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    struct actor other;
    (void)state;
    actor_start(&other);
    assert_true(lock_acquire(&lock));
    actor_do(&other, try_once, &lock);
    assert_true(lock_is_mine(&lock));
    lock_release(&lock);
    actor_end(&other);
}

static struct {
    struct lock lock;
    long count; /* guarded by the lock, and by nothing else */
} shared = {.lock = LOCK_INITIAL(LOCK_RANK_ARENA)};

enum {
    COUNTERS = 4,
    ROUNDS = 20000,
};

static void count_up(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        MUST(lock_acquire(&shared.lock));
        long count = shared.count;
        if (i % 64 == 0) {
            sched_yield(); /* others meet a held lock, and sleep */
        }
        shared.count = count + 1;
        lock_release(&shared.lock);
    }
}

static void one_thread_at_a_time(void **state)
{
    struct actor counters[COUNTERS];
    (void)state;
    for (int i = 0; i < COUNTERS; i++) {
        actor_start(&counters[i]);
        actor_begin(&counters[i], count_up, NULL);
    }
    for (int i = 0; i < COUNTERS; i++) {
        actor_finish(&counters[i]);
        actor_end(&counters[i]);
    }
    assert_int_equal(shared.count, (long)COUNTERS * ROUNDS);
    assert_int_equal(state_of(&shared.lock), LOCK_FREE);
}

static void await_contention(const struct lock *lock)
{
    while (state_of(lock) != LOCK_CONTENDED) {
        sched_yield();
    }
}

static void begin_to_wait(struct actor *actor, struct lock *lock)
{
    actor_begin(actor, acquire, lock);
    await_contention(lock);
    actor_await_sleep(actor);
}

/* Two sleepers and one release: the one who wakes must know of the other. */
static void each_release_wakes_a_sleeper(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    struct actor first, second;
    (void)state;
    actor_start(&first);
    actor_start(&second);
    assert_true(lock_acquire(&lock));
    begin_to_wait(&first, &lock);
    lock_release(&lock);
    actor_finish(&first);
    assert_int_equal(state_of(&lock), LOCK_CONTENDED);
    begin_to_wait(&second, &lock);
    actor_do(&first, release, &lock);
    actor_finish(&second);
    actor_do(&second, release, &lock);
    assert_int_equal(state_of(&lock), LOCK_FREE);
    actor_end(&first);
    actor_end(&second);
}

static void acquire_and_release(void *lock)
{
    MUST(lock_acquire(lock));
    lock_release(lock);
}

/* Both sleep when the lock is released, which wakes one: that one's release
 * must wake the other. */
static void two_sleepers_wake_one_after_the_other(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    struct actor sleepers[2];
    (void)state;
    assert_true(lock_acquire(&lock));
    for (int i = 0; i < 2; i++) {
        actor_start(&sleepers[i]);
        actor_begin(&sleepers[i], acquire_and_release, &lock);
        await_contention(&lock);
        actor_await_sleep(&sleepers[i]);
    }
    lock_release(&lock);
    for (int i = 0; i < 2; i++) {
        actor_finish(&sleepers[i]);
        actor_end(&sleepers[i]);
    }
}

/* ---- ranks and owners --------------------------------------------------- */

static void take_all_in_order(void *unused)
{
    struct lock locks[] = {
        LOCK_INITIAL(LOCK_RANK_START),   LOCK_INITIAL(LOCK_RANK_ARENA),
        LOCK_INITIAL(LOCK_RANK_ARENAS),  LOCK_INITIAL(LOCK_RANK_MAPPED),
        LOCK_INITIAL(LOCK_RANK_PROFILE),
    };
    (void)unused;
    for (size_t i = 0; i < count_of(locks); i++) {
        MUST(lock_acquire(&locks[i]));
    }
    for (size_t i = 0; i < count_of(locks); i++) {
        lock_release(&locks[i]);
    }
    MUST(lock_ranks_held == 0);
}

struct two_ranks {
    enum lock_rank first, second;
};

static void take_two(void *argument)
{
    const struct two_ranks *ranks = argument;
    struct lock first, second;
    lock_initialise(&first, ranks->first);
    lock_initialise(&second, ranks->second);
    MUST(lock_acquire(&first));
    MUST(lock_acquire(&second));
}

static void locks_are_taken_in_rising_rank(void **state)
{
    struct two_ranks wrong[] = {
        {LOCK_RANK_ARENA, LOCK_RANK_START},
        {LOCK_RANK_ARENA, LOCK_RANK_ARENA},
        {LOCK_RANK_ARENAS, LOCK_RANK_ARENA},
        {LOCK_RANK_MAPPED, LOCK_RANK_ARENAS},
        {LOCK_RANK_MAPPED, LOCK_RANK_MAPPED},
        {LOCK_RANK_MAPPED, LOCK_RANK_START},
        {LOCK_RANK_PROFILE, LOCK_RANK_MAPPED},
    };
    (void)state;
    child_must_succeed(take_all_in_order, NULL);
    for (size_t i = 0; i < count_of(wrong); i++) {
        child_must_fail_assertion(take_two, &wrong[i],
                                  "lock_ranks_held < 1u << lock->rank");
    }
}

static void only_the_holder_releases(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    struct actor holder;
    (void)state;
    child_must_fail_assertion(release, &lock, "lock_is_mine(lock)");
    actor_start(&holder);
    actor_do(&holder, acquire, &lock);
    child_must_fail_assertion(release, &lock, "lock_is_mine(lock)");
    actor_do(&holder, release, &lock);
    actor_end(&holder);
}

/* ---- fork --------------------------------------------------------------- */

/* What the owner of a lock does in the child of a fork. */
static void repair(struct lock *lock)
{
    if (lock_is_orphaned(lock)) {
        lock_reset(lock);
    }
    lock_confirm(lock);
}

static void take_after_repair(struct lock *lock)
{
    MUST(!lock_acquire(lock));
    MUST(lock_is_orphaned(lock));
    repair(lock);
    MUST(!lock_is_orphaned(lock));
    MUST(lock_acquire(lock));
    MUST(lock_is_mine(lock));
    lock_release(lock);
    MUST(state_of(lock) == LOCK_FREE);
}

static void find_orphan_after_note(void *lock)
{
    lock_note_fork();
    take_after_repair(lock);
}

static void an_orphaned_lock_is_not_waited_for(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    struct actor holder;
    (void)state;
    actor_start(&holder);
    actor_do(&holder, acquire, &lock);
    child_must_succeed(find_orphan_after_note, &lock);
    /* The parent noticed nothing. */
    actor_do(&holder, release, &lock);
    assert_true(lock_acquire(&lock));
    lock_release(&lock);
    actor_end(&holder);
}

static void find_free_lock(void *argument)
{
    struct lock *lock = argument;
    lock_note_fork();
    MUST(!lock_is_orphaned(lock));
    MUST(lock_acquire(lock));
    lock_release(lock);
}

static void a_free_lock_is_good_in_the_child(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    (void)state;
    child_must_succeed(find_free_lock, &lock);
}

static void find_own_lock(void *argument)
{
    struct lock *lock = argument;
    lock_note_fork();
    MUST(!lock_is_orphaned(lock));
    MUST(lock_is_mine(lock));
    repair(lock);
    MUST(lock_is_mine(lock));
    lock_release(lock);
    MUST(state_of(lock) == LOCK_FREE);
}

/* A signal handler may fork while its thread holds a lock. */
static void the_forking_thread_keeps_its_locks(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    (void)state;
    assert_true(lock_acquire(&lock));
    child_must_succeed(find_own_lock, &lock);
    assert_true(lock_is_mine(&lock));
    lock_release(&lock);
}

/* A lock that was confirmed is waited for again, by the child's threads. */
static void be_waited_for(struct lock *lock)
{
    struct actor waiter;
    MUST(lock_acquire(lock));
    actor_start(&waiter);
    begin_to_wait(&waiter, lock);
    lock_release(lock);
    actor_finish(&waiter);
    actor_do(&waiter, release, lock);
    actor_end(&waiter);
}

static void wait_in_the_child(void *lock)
{
    lock_note_fork();
    repair(lock);
    be_waited_for(lock);
}

static void a_confirmed_lock_is_waited_for(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    (void)state;
    child_must_succeed(wait_in_the_child, &lock);
}

/* The child holds the lock in another thread and forks in its turn. */
static void fork_again(void *argument)
{
    struct lock *lock = argument;
    struct actor holder;
    lock_note_fork();
    repair(lock);
    actor_start(&holder);
    actor_do(&holder, acquire, lock);
    pid_t child = fork();
    if (child == 0) {
        trial_watch();
        find_orphan_after_note(lock);
        _exit(0);
    }
    trial_child_must_succeed(child);
    actor_do(&holder, release, lock);
    actor_end(&holder);
}

static void every_fork_counts(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    (void)state;
    child_must_succeed(fork_again, &lock);
}

/* Nobody gets a lock that was killed, nor does anybody wait for it. */
static void a_dead_lock_is_refused_for_ever(void **state)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    (void)state;
    assert_true(lock_acquire(&lock));
    lock_release(&lock);
    lock_kill(&lock);
    for (int i = 0; i < 3; i++) {
        assert_false(lock_try(&lock));
        assert_false(lock_try_patiently(&lock));
        assert_false(lock_acquire(&lock));
        lock_confirm(&lock);
    }
    assert_int_equal(state_of(&lock), LOCK_DEAD);
    assert_int_equal(lock_ranks_held, 0);
}

/* A new lock of the child is of the child's generation. */
static void make_new_lock(void *unused)
{
    struct lock lock;
    (void)unused;
    lock_note_fork();
    lock_initialise(&lock, LOCK_RANK_ARENA);
    wait_in_the_child(&lock);
}

static void find_orphan_by_witness(struct lock *lock)
{
    pid_t child = fork();
    if (child == 0) {
        trial_watch();
        take_after_repair(lock);
        lock_note_fork(); /* the handler comes later: it is the same fork */
        struct lock fresh;
        lock_initialise(&fresh, LOCK_RANK_ARENA);
        MUST(fresh.generation == lock->generation);
        _exit(0);
    }
    trial_child_must_succeed(child);
}

/* Without any handler: the first wait itself notices the fork. */
static void watch_and_fork(void *unused)
{
    struct lock lock = LOCK_INITIAL(LOCK_RANK_ARENA);
    struct actor holder;
    (void)unused;
    lock_watch_forks();
    lock_watch_forks();
    actor_start(&holder);
    actor_do(&holder, acquire, &lock);
    find_orphan_by_witness(&lock);
    find_orphan_by_witness(&lock);
    actor_do(&holder, release, &lock);
    MUST(lock_acquire(&lock));
    begin_to_wait(&holder, &lock);
    lock_release(&lock);
    actor_finish(&holder);
    actor_do(&holder, release, &lock);
    actor_end(&holder);
}

static void a_watched_fork_needs_no_handler(void **state)
{
    (void)state;
    child_must_succeed(make_new_lock, NULL);
    child_must_succeed(watch_and_fork, NULL);
}

/* Two threads notice a fork: the first who asks for the number of the process
 * waits until the second does, if he does so soon; and that one until the first
 * has done. */
static struct {
    atomic_bool is_set;
    atomic_int askers;
    atomic_bool first_is_done;
} stage;

uint32_t __real_os_process(void);
uint32_t __wrap_os_process(void);

uint32_t __wrap_os_process(void)
{
    if (atomic_load(&stage.is_set)) {
        bool is_first = atomic_fetch_add(&stage.askers, 1) == 0;
        for (int i = 0; i < 500; i++) {
            if (is_first ? atomic_load(&stage.askers) > 1
                         : atomic_load(&stage.first_is_done)) {
                break;
            }
            usleep(1000);
        }
    }
    return __real_os_process();
}

static uint16_t generation_now(void)
{
    struct lock fresh;
    lock_initialise(&fresh, LOCK_RANK_ARENA);
    return fresh.generation;
}

static void notice_first(void *unused)
{
    (void)unused;
    generation_now();
    atomic_store(&stage.first_is_done, true);
}

/* A handler of fork that runs before ours has made the actor. */
static void notice_together(uint16_t before)
{
    struct actor actor;
    trial_watch();
    atomic_store(&stage.is_set, true);
    actor_start(&actor);
    actor_begin(&actor, notice_first, NULL);
    while (atomic_load(&stage.askers) == 0) {
        sched_yield();
    }
    lock_note_fork();
    actor_finish(&actor);
    MUST(generation_now() == (uint16_t)(before + 1));
    _exit(0);
}

static void fork_and_notice_together(void *unused)
{
    (void)unused;
    lock_watch_forks();
    uint16_t before = generation_now();
    pid_t child = fork();
    if (child == 0) {
        notice_together(before);
    }
    trial_child_must_succeed(child);
}

static void who_notices_a_fork_together_counts_it_once(void **state)
{
    (void)state;
    /* The sanitizer takes a thread made now for one that it knows already. */
    if (!UNIT_UNDER_TSAN) {
        child_must_succeed(fork_and_notice_together, NULL);
    }
}

/* ---- a child that has threads before its locks are confirmed ------------- */

static struct lock unconfirmed = LOCK_INITIAL(LOCK_RANK_ARENA);

static void wait_for_a_thread_that_is_there(void *unused)
{
    struct actor holder, waiter;
    (void)unused;
    lock_note_fork();
    MUST(!lock_is_confirmed(&unconfirmed));
    actor_start(&holder);
    actor_start(&waiter);
    actor_do(&holder, acquire, &unconfirmed);
    begin_to_wait(&waiter, &unconfirmed);
    MUST(state_of(&unconfirmed) == LOCK_CONTENDED);
    actor_do(&holder, release, &unconfirmed);
    actor_finish(&waiter);
    actor_do(&waiter, release, &unconfirmed);
    actor_end(&holder);
    actor_end(&waiter);
}

static void a_lock_that_a_new_thread_has_is_waited_for(void **state)
{
    (void)state;
    lock_watch_forks();
    child_must_succeed(wait_for_a_thread_that_is_there, NULL);
}

static void wait_in_vain(void *unused)
{
    struct actor other;
    (void)unused;
    lock_note_fork();
    actor_start(&other);
    MUST(!lock_acquire(&unconfirmed) && lock_is_orphaned(&unconfirmed));
    actor_end(&other);
}

static void one_that_a_lost_thread_has_is_not_waited_for_for_ever(void **state)
{
    struct actor lost;
    (void)state;
    lock_watch_forks();
    actor_start(&lost);
    actor_do(&lost, acquire, &unconfirmed);
    child_must_succeed(wait_in_vain, NULL);
    actor_do(&lost, release, &unconfirmed);
    actor_end(&lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_is_free_held_and_free_again),
        cmocka_unit_test(a_held_lock_is_not_for_others),
        cmocka_unit_test(one_thread_at_a_time),
        cmocka_unit_test(each_release_wakes_a_sleeper),
        cmocka_unit_test(two_sleepers_wake_one_after_the_other),
        cmocka_unit_test(locks_are_taken_in_rising_rank),
        cmocka_unit_test(only_the_holder_releases),
        cmocka_unit_test(an_orphaned_lock_is_not_waited_for),
        cmocka_unit_test(a_free_lock_is_good_in_the_child),
        cmocka_unit_test(the_forking_thread_keeps_its_locks),
        cmocka_unit_test(a_confirmed_lock_is_waited_for),
        cmocka_unit_test(every_fork_counts),
        cmocka_unit_test(a_dead_lock_is_refused_for_ever),
        cmocka_unit_test(a_watched_fork_needs_no_handler),
        cmocka_unit_test(who_notices_a_fork_together_counts_it_once),
        cmocka_unit_test(a_lock_that_a_new_thread_has_is_waited_for),
        cmocka_unit_test(one_that_a_lost_thread_has_is_not_waited_for_for_ever),
    };
    return UNIT_RUN(tests);
}
