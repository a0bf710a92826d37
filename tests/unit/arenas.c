/*
 * arenas.c - which arena serves which thread.
 *
 * The set of arenas is one for the whole process and never shrinks, so each
 * scene is played in a child of its own, by actors who take and leave arenas
 * when they are told to.
 */
#define _GNU_SOURCE
#include "arenas.h"

#include "unit.h"

#include <sched.h>

#include "actor.h"
#include "child.h"
#include "faulty_syscall.h"
#include "options.h"

enum {
    MOST_PLAYERS = ARENAS_MAX + 1,
};

/* With one CPU it is contention alone that makes arenas. 0: as many as there
 * are. */
static unsigned cpus = 1;

unsigned __real_os_cpu_limit(void);
unsigned __wrap_os_cpu_limit(void);

unsigned __wrap_os_cpu_limit(void)
{
    return cpus > 0 ? cpus : __real_os_cpu_limit();
}

/* How often this thread has let others run, and after how many times ... */
static unsigned yields, release_after;

void __wrap_os_yield(void);

/* A thread and the arena it was given last. */
struct player {
    struct actor actor;
    struct arena *arena;
};

static struct player players[MOST_PLAYERS];

static void get_arena(void *argument)
{
    struct player *player = argument;
    player->arena = arena_get2(NULL);
    MUST(player->arena == NULL || lock_is_mine(&player->arena->lock));
}

static void release_arena(void *argument)
{
    struct player *player = argument;
    arena_release(player->arena);
}

static void detach(void *unused)
{
    (void)unused;
    arenas_detach_thread();
}

static void acquire_its_arena(void *argument)
{
    struct player *player = argument;
    MUST(arena_acquire(player->arena));
}

static void start(struct player *player)
{
    actor_start(&player->actor);
}

/* The number of the arena that the player has now, locked. */
static unsigned take(struct player *player)
{
    actor_do(&player->actor, get_arena, player);
    MUST(player->arena != NULL);
    return player->arena->number;
}

static void leave(struct player *player)
{
    actor_do(&player->actor, release_arena, player);
}

static unsigned take_and_leave(struct player *player)
{
    unsigned number = take(player);
    leave(player);
    return number;
}

static void exit_thread(struct player *player)
{
    actor_do(&player->actor, detach, NULL);
    actor_end(&player->actor);
}

/* Players 0 to count - 1 hold arenas 1 to count. */
static void hold_arenas(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        start(&players[i]);
        MUST(take(&players[i]) == i + 1);
    }
    MUST(arenas_count() == count);
}

static void leave_arenas(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        leave(&players[i]);
    }
}

/* The same, but afterwards nobody holds any. */
static void make_arenas(unsigned count)
{
    hold_arenas(count);
    leave_arenas(count);
}

/* Runs the body in a child of this process and waits for its success. */
static void in_fork(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        trial_watch();
        body();
        _exit(0);
    }
    trial_child_must_succeed(child);
}

/* ---- the first arena ---------------------------------------------------- */

static void without_contention_there_is_one_arena(void *unused)
{
    (void)unused;
    MUST(arenas_count() == 1);
    MUST(arena_numbered(1) == &main_arena);
    MUST(main_arena.number == 1 && main_arena.flags == 0);
    MUST(arena_get() == NULL);
    struct arena *arena = arena_get2(NULL);
    MUST(arena == &main_arena && lock_is_mine(&arena->lock));
    MUST(arena->attached == 1);
    arena_release(arena);
    MUST(arena_get() == &main_arena);
    MUST(lock_is_mine(&main_arena.lock));
    arena_release(&main_arena);
    /* Others share it as long as nobody waits. */
    start(&players[0]);
    MUST(take_and_leave(&players[0]) == 1);
    MUST(main_arena.attached == 2);
    MUST(arenas_count() == 1);
}

static void threads_are_counted(void *unused)
{
    (void)unused;
    MUST(arenas_thread_is_new());
    MUST(arenas_note_thread() == 1);
    MUST(!arenas_thread_is_new());
    MUST(arenas_note_thread() == 2);
}

/* ---- arenas of their own ------------------------------------------------ */

/* One of which is for the thread that starts the others. */
static void new_threads_spread(void *unused)
{
    (void)unused;
    cpus = 2;
    arena_release(arena_get2(NULL));
    MUST(arenas_count() == 1 && main_arena.attached == 1);
    for (unsigned i = 0; i < 7; i++) {
        start(&players[i]);
    }
    MUST(take_and_leave(&players[0]) == 2);
    MUST(take_and_leave(&players[1]) == 3);
    /* Now there is one for each CPU, and one more. */
    MUST(take_and_leave(&players[2]) == 1);
    MUST(take_and_leave(&players[3]) == 2);
    MUST(take_and_leave(&players[4]) == 3);
    MUST(take_and_leave(&players[5]) == 1);
    MUST(arenas_count() == 3 && main_arena.attached == 3);
    exit_thread(&players[1]);
    MUST(arena_numbered(3)->attached == 1);
    MUST(take_and_leave(&players[6]) == 3);
    exit_thread(&players[4]);
    exit_thread(&players[6]);
    MUST(arena_numbered(3)->is_on_free_list);
    /* Who has an arena does not get another for nothing. */
    arena_release(arena_get2(NULL));
    MUST(arenas_count() == 3);
}

static void without_memory_new_threads_share(void *unused)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    (void)unused;
    cpus = 3;
    arena_release(arena_get2(NULL));
    start(&players[0]);
    faulty_use(&no_memory);
    MUST(take_and_leave(&players[0]) == 1);
    faulty_use(NULL);
    MUST(arenas_count() == 1 && main_arena.attached == 2);
}

static void who_leaves_gets_no_new_arena(void *unused)
{
    (void)unused;
    cpus = 3;
    arena_release(arena_get2(NULL));
    arenas_detach_thread();
    arena_release(arena_get2(NULL));
    arena_release(arena_get2(NULL));
    MUST(arenas_count() == 1 && main_arena.attached == 0);
}

/* ---- contention --------------------------------------------------------- */

static void contention_makes_an_arena(void *unused)
{
    (void)unused;
    start(&players[0]);
    MUST(take(&players[0]) == 1);
    struct arena *arena = arena_get2(NULL);
    MUST(arena->number == 2 && lock_is_mine(&arena->lock));
    MUST(arena->flags == CHUNK_NON_MAIN_ARENA && arena->bins.owner == 2);
    MUST(arena->top == NULL && arena->heaps == NULL);
    MUST(arenas_count() == 2 && arena_numbered(2) == arena);
    arena_release(arena);
    MUST(arena_get() == arena);
    arena_release(arena);
    /* Whoever finds one that nobody holds takes that. */
    start(&players[1]);
    MUST(take(&players[1]) == 2);
    leave(&players[0]);
    start(&players[2]);
    MUST(take(&players[2]) == 1);
    MUST(arenas_count() == 2);
}

static void a_thread_moves_away_from_contention(void *unused)
{
    (void)unused;
    arena_release(arena_get2(NULL));
    start(&players[0]);
    MUST(take(&players[0]) == 1);
    MUST(main_arena.attached == 2);
    MUST(arena_get() == NULL);
    struct arena *arena = arena_get2(NULL);
    MUST(arena->number == 2 && arena->attached == 1);
    MUST(main_arena.attached == 1);
    arena_release(arena);
    /* It does not come back. */
    leave(&players[0]);
    MUST(arena_get() == arena);
    arena_release(arena);
}

/* ... player 0 releases the lock of the main arena, which it is not attached
 * to. */
void __wrap_os_yield(void)
{
    if (++yields == release_after) {
        leave(&players[0]);
    }
}

static void let_another_lock_the_main_arena(void)
{
    arena_release(arena_get2(NULL));
    start(&players[0]);
    players[0].arena = &main_arena;
    actor_do(&players[0].actor, acquire_its_arena, &players[0]);
    MUST(main_arena.attached == 1);
}

static void who_is_alone_waits(void *unused)
{
    (void)unused;
    let_another_lock_the_main_arena();
    release_after = 3;
    MUST(arena_get() == &main_arena && yields == 3);
    MUST(main_arena.attached == 1 && arenas_count() == 1);
    arena_release(&main_arena);
}

static void but_not_for_ever(void *unused)
{
    (void)unused;
    let_another_lock_the_main_arena();
    MUST(arena_get() == NULL && yields == ALONE_PATIENCE);
    MUST(arena_get2(NULL)->number == 2);
}

static void nor_for_itself(void *unused)
{
    (void)unused;
    arena_release(arena_get2(NULL));
    MUST(arena_acquire(&main_arena));
    MUST(arena_get() == NULL && yields == 0);
}

/* ---- bounds ------------------------------------------------------------- */

/* All `most` arenas are held. One more thread gets none before one of them is
 * free, and then one of these. */
static void find_no_arena_beyond(unsigned most)
{
    struct player *late = &players[most];
    hold_arenas(most);
    start(late);
    actor_begin(&late->actor, get_arena, late);
    actor_await_sleep(&late->actor);
    MUST(late->arena == NULL);
    MUST(arenas_count() == most);
    leave_arenas(most);
    actor_finish(&late->actor);
    MUST(late->arena->number <= most);
    MUST(late->arena == arena_numbered(late->arena->number));
    MUST(late->arena->attached == 2);
    MUST(arenas_count() == most);
}

static void obey_arena_max(void *most)
{
    option_set(OPTION_ARENA_MAX, *(unsigned *)most);
    find_no_arena_beyond(*(unsigned *)most);
}

static void the_option_bounds_the_arenas(void **state)
{
    (void)state;
    for (unsigned most = 1; most <= 5; most += 2) {
        child_must_succeed(obey_arena_max, &most);
    }
}

static void the_table_bounds_the_arenas(void *unused)
{
    (void)unused;
    option_set(OPTION_ARENA_MAX, (size_t)1 << 32);
    find_no_arena_beyond(ARENAS_MAX);
}

static void the_cpus_bound_the_arenas(void *unused)
{
    cpu_set_t mine, one;
    int cpu = 0;
    (void)unused;
    cpus = 0;
    MUST(sched_getaffinity(0, sizeof mine, &mine) == 0);
    while (!CPU_ISSET(cpu, &mine)) {
        cpu++;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    MUST(sched_setaffinity(0, sizeof one, &one) == 0);
    find_no_arena_beyond(ARENAS_PER_CPU);
}

static void without_memory_arenas_are_shared(void *unused)
{
    const struct faulty_plan no_memory = {
        .kinds = FAULTY_MMAP, .first = 1, .how_many = 1};
    (void)unused;
    start(&players[0]);
    MUST(take(&players[0]) == 1);
    start(&players[1]);
    faulty_use(&no_memory);
    actor_begin(&players[1].actor, get_arena, &players[1]);
    actor_await_sleep(&players[1].actor);
    MUST(faulty_calls_refused() == 1);
    leave(&players[0]);
    actor_finish(&players[1].actor);
    MUST(players[1].arena == &main_arena);
    MUST(arenas_count() == 1);
}

/* ---- threads end -------------------------------------------------------- */

static void the_arena_left_last_is_taken_first(void *unused)
{
    (void)unused;
    make_arenas(4);
    exit_thread(&players[1]);
    exit_thread(&players[3]);
    exit_thread(&players[2]);
    static const unsigned newest_first[] = {3, 4, 2};
    for (unsigned i = 0; i < 3; i++) {
        struct player *player = &players[4 + i];
        MUST(arena_numbered(newest_first[i])->is_on_free_list);
        start(player);
        MUST(take_and_leave(player) == newest_first[i]);
        MUST(player->arena->attached == 1);
        MUST(!player->arena->is_on_free_list);
    }
    MUST(arenas_count() == 4);
}

static void only_an_arena_without_threads_is_free(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++) {
        start(&players[i]);
        MUST(take_and_leave(&players[i]) == 1);
    }
    MUST(main_arena.attached == 3);
    exit_thread(&players[1]);
    exit_thread(&players[0]);
    MUST(main_arena.attached == 1);
    MUST(!main_arena.is_on_free_list);
    exit_thread(&players[2]);
    MUST(main_arena.attached == 0);
    MUST(main_arena.is_on_free_list);
    /* Found on the list by one who was looking for any. */
    arena_release(arena_get2(NULL));
    MUST(main_arena.attached == 1);
    MUST(!main_arena.is_on_free_list);
}

static void a_thread_that_leaves_attaches_to_nothing(void *unused)
{
    (void)unused;
    arena_release(arena_get2(NULL));
    arenas_detach_thread();
    MUST(main_arena.attached == 0);
    MUST(arena_get() == NULL);
    struct arena *arena = arena_get2(NULL);
    MUST(arena == &main_arena && lock_is_mine(&arena->lock));
    MUST(arena->attached == 0 && arena->is_on_free_list);
    arena_release(arena);
    MUST(arena_get() == NULL);
    arenas_detach_thread();
    MUST(main_arena.attached == 0 && main_arena.is_on_free_list);
}

/* Moving away empties the old arena too. */
static void an_arena_that_is_moved_away_from_is_free(void *unused)
{
    (void)unused;
    make_arenas(2);
    MUST(arena_numbered(2)->attached == 1);
    actor_do(&players[0].actor, acquire_its_arena, &players[0]);
    /* Player 1 has arena 2; it is locked by another, and so is main. */
    start(&players[2]);
    players[2].arena = arena_numbered(2);
    actor_do(&players[2].actor, acquire_its_arena, &players[2]);
    MUST(take_and_leave(&players[1]) == 3);
    MUST(arena_numbered(2)->attached == 0);
    MUST(arena_numbered(2)->is_on_free_list);
    leave(&players[2]);
    start(&players[3]);
    MUST(take_and_leave(&players[3]) == 2);
}

/* ---- an arena that has nothing left ------------------------------------- */

static bool is_free(unsigned number)
{
    const struct lock *lock = &arena_numbered(number)->lock;
    return __atomic_load_n(&lock->state, __ATOMIC_RELAXED) == LOCK_FREE;
}

/* From the failed arena to the last: each number once, as a bit. */
static unsigned try_all(struct arena *failed, unsigned *order)
{
    struct arena_tries tries = {.made_new = false};
    unsigned count = 0;
    while (failed != NULL) {
        unsigned number = failed->number;
        MUST(lock_is_mine(&failed->lock));
        MUST(count < 10);
        order[count++] = number;
        failed = arena_get_retry(failed, &tries);
        MUST(is_free(number));
    }
    return count;
}

static void retry_from_main(void *unused)
{
    unsigned order[10];
    (void)unused;
    option_set(OPTION_ARENA_MAX, 3);
    make_arenas(3);
    MUST(arena_acquire(&main_arena));
    MUST(try_all(&main_arena, order) == 3);
    MUST(order[0] == 1 && order[1] + order[2] == 5);
    MUST(arenas_count() == 3);
}

/* Arena 3 would be the first that arena_get2 finds. */
static void retry_from_another(void *unused)
{
    unsigned order[10];
    (void)unused;
    option_set(OPTION_ARENA_MAX, 3);
    make_arenas(3);
    exit_thread(&players[2]);
    MUST(arena_acquire(arena_numbered(2)));
    MUST(try_all(arena_numbered(2), order) == 3);
    MUST(order[0] == 2 && order[1] == 1 && order[2] == 3);
}

static void retry_with_a_new_one(void *unused)
{
    unsigned order[10];
    (void)unused;
    option_set(OPTION_ARENA_MAX, 10);
    make_arenas(2);
    MUST(arena_acquire(arena_numbered(2)));
    MUST(try_all(arena_numbered(2), order) == 3);
    MUST(order[0] == 2 && order[1] == 1 && order[2] == 3);
    MUST(arenas_count() == 3);
}

static void retry_with_free_ones(void *unused)
{
    unsigned order[10];
    (void)unused;
    option_set(OPTION_ARENA_MAX, 4);
    make_arenas(4);
    exit_thread(&players[2]);
    exit_thread(&players[1]);
    MUST(arena_acquire(&main_arena));
    MUST(try_all(&main_arena, order) == 4);
    MUST(order[1] == 2 && order[2] == 3 && order[3] == 4);
}

static void retry_and_wait(void *argument)
{
    struct player *player = argument;
    struct arena_tries tries = {.made_new = false};
    MUST(arena_acquire(&main_arena));
    player->arena = arena_get_retry(&main_arena, &tries);
}

/* The one that is left is in use: it is waited for. */
static void retry_with_one_that_is_held(void *unused)
{
    (void)unused;
    option_set(OPTION_ARENA_MAX, 2);
    make_arenas(2);
    actor_do(&players[1].actor, acquire_its_arena, &players[1]);
    start(&players[2]);
    actor_begin(&players[2].actor, retry_and_wait, &players[2]);
    actor_await_sleep(&players[2].actor);
    MUST(is_free(1));
    leave(&players[1]);
    actor_finish(&players[2].actor);
    MUST(players[2].arena->number == 2);
}

static void each_arena_is_tried_once(void **state)
{
    (void)state;
    child_must_succeed(retry_from_main, NULL);
    child_must_succeed(retry_from_another, NULL);
    child_must_succeed(retry_with_a_new_one, NULL);
    child_must_succeed(retry_with_free_ones, NULL);
    child_must_succeed(retry_with_one_that_is_held, NULL);
}

/* ---- fork --------------------------------------------------------------- */

/* Whatever the child asks for, arena 2 is not given. */
static void find_arena_2_abandoned(void)
{
    unsigned order[10];
    MUST(arena_numbered(2)->is_abandoned);
    MUST(arena_numbered(2)->lock.state == LOCK_DEAD);
    MUST(!arena_acquire(arena_numbered(2)));
    MUST(!main_arena.is_abandoned && !arena_numbered(3)->is_abandoned);
    MUST(arena_get() == &main_arena);
    unsigned count = try_all(&main_arena, order);
    MUST(count == 3);
    for (unsigned i = 0; i < count; i++) {
        MUST(order[i] != 2);
    }
    MUST(arena_numbered(2)->is_abandoned);
    MUST(!arena_numbered(2)->is_on_free_list);
}

static void be_the_child(void)
{
    lock_note_fork();
    arenas_after_fork();
    /* The threads of the others are gone. */
    MUST(main_arena.attached == 1);
    MUST(arena_numbered(3)->attached == 0);
    MUST(arena_numbered(3)->is_on_free_list);
    arenas_after_fork();
    MUST(main_arena.attached == 1 && arena_numbered(3)->is_on_free_list);
    /* The sanitizer takes a thread made now for one that it knows already. */
    if (!UNIT_UNDER_TSAN) {
        start(&players[10]);
        MUST(take_and_leave(&players[10]) == 3);
    }
    find_arena_2_abandoned();
}

/* No handler has run. The first wait notices the fork. */
static void be_the_child_without_handlers(void)
{
    MUST(!arena_acquire(arena_numbered(2)));
    find_arena_2_abandoned();
}

static void fork_with_arena_2_held(void (*body)(void))
{
    option_set(OPTION_ARENA_MAX, 4);
    arena_release(arena_get2(NULL));
    make_arenas(3);
    actor_do(&players[1].actor, acquire_its_arena, &players[1]);
    in_fork(body);
    /* The parent knows nothing of it. */
    leave(&players[1]);
    MUST(arena_acquire(arena_numbered(2)));
    MUST(!arena_numbered(2)->is_abandoned);
    arena_release(arena_numbered(2));
}

static void fork_noted(void *unused)
{
    (void)unused;
    fork_with_arena_2_held(be_the_child);
}

static void fork_watched(void *unused)
{
    (void)unused;
    lock_watch_forks();
    fork_with_arena_2_held(be_the_child_without_handlers);
}

static void a_held_arena_is_lost_in_the_child(void **state)
{
    (void)state;
    child_must_succeed(fork_noted, NULL);
    child_must_succeed(fork_watched, NULL);
}

static void have_no_arena(void)
{
    lock_note_fork();
    arenas_after_fork();
    MUST(main_arena.is_abandoned);
    MUST(arena_get() == NULL);
    /* What is lost does not count among those that there may be. */
    struct arena *arena = arena_get2(NULL);
    MUST(arena != NULL && arena->number == 2);
    arena_release(arena);
    MUST(arena_get() == arena);
    arena_release(arena);
}

static void a_thread_may_lose_its_own_arena(void *unused)
{
    (void)unused;
    option_set(OPTION_ARENA_MAX, 1);
    arena_release(arena_get2(NULL));
    start(&players[0]);
    MUST(take(&players[0]) == 1);
    in_fork(have_no_arena);
}

static void have_it_still(void)
{
    lock_note_fork();
    arenas_after_fork();
    MUST(!main_arena.is_abandoned && lock_is_mine(&main_arena.lock));
    MUST(main_arena.attached == 1);
    arena_release(&main_arena);
    MUST(arena_get() == &main_arena);
    arena_release(&main_arena);
}

/* As a signal handler does that interrupts malloc. */
static void what_the_forking_thread_holds_is_not_lost(void *unused)
{
    (void)unused;
    MUST(arena_get2(NULL) == &main_arena);
    in_fork(have_it_still);
    arena_release(&main_arena);
}

static struct arena *retired;

static void hold_retired(void *unused)
{
    (void)unused;
    MUST(arena_acquire(retired));
}

static void release_retired(void *unused)
{
    (void)unused;
    arena_release(retired);
}

static void get_another_instead(void)
{
    lock_note_fork();
    arenas_after_fork();
    MUST(retired->is_abandoned);
    struct arena *arena = arenas_make_private(0);
    MUST(arena != NULL && arena != retired && arena_acquire(arena));
    arena_release(arena);
}

static void a_lost_arena_is_not_used_again(void *unused)
{
    (void)unused;
    retired = arenas_make_private(0);
    arenas_retire_private(retired);
    start(&players[0]);
    actor_do(&players[0].actor, hold_retired, NULL);
    in_fork(get_another_instead);
    actor_do(&players[0].actor, release_retired, NULL);
    MUST(arenas_make_private(0) == retired);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_child(without_contention_there_is_one_arena),
        unit_test_in_child(threads_are_counted),
        unit_test_in_child(new_threads_spread),
        unit_test_in_child(without_memory_new_threads_share),
        unit_test_in_child(who_leaves_gets_no_new_arena),
        unit_test_in_child(contention_makes_an_arena),
        unit_test_in_child(a_thread_moves_away_from_contention),
        unit_test_in_child(who_is_alone_waits),
        unit_test_in_child(but_not_for_ever),
        unit_test_in_child(nor_for_itself),
        cmocka_unit_test(the_option_bounds_the_arenas),
        unit_test_in_child(the_table_bounds_the_arenas),
        unit_test_in_child(the_cpus_bound_the_arenas),
        unit_test_in_child(without_memory_arenas_are_shared),
        unit_test_in_child(the_arena_left_last_is_taken_first),
        unit_test_in_child(only_an_arena_without_threads_is_free),
        unit_test_in_child(a_thread_that_leaves_attaches_to_nothing),
        unit_test_in_child(an_arena_that_is_moved_away_from_is_free),
        cmocka_unit_test(each_arena_is_tried_once),
        cmocka_unit_test(a_held_arena_is_lost_in_the_child),
        unit_test_in_child(a_thread_may_lose_its_own_arena),
        unit_test_in_child(what_the_forking_thread_holds_is_not_lost),
        unit_test_in_child(a_lost_arena_is_not_used_again),
    };
    return UNIT_RUN(tests);
}
