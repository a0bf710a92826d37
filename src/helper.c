#define _GNU_SOURCE
#include "helper.h"

#include <limits.h>
#include <signal.h>

#include "bell.h"
#include "lock.h"
#include "options.h"
#include "os.h"
#include "purge.h"
#include "sleepers.h"

enum helper_state {
    HELPER_NONE,
    HELPER_CHANGING, /* being started or ended, by one thread */
    HELPER_RUNS,
    HELPER_NEVER,
};

/* `state` passes on the rest: stored with release order by who was CHANGING it,
 * taken with acquire order. */
static struct {
    uint32_t state;
    uint32_t stop;    /* atomic; the helper waits on it between two passes */
    uint32_t number;  /* of the thread; atomic: the helper's own store */
    uint32_t process; /* of which it is a thread; atomic */
    uint16_t forks;   /* the generation (lock.h) in which it was made */
    pthread_t thread;
} helper;

static bool must_stop(void)
{
    return __atomic_load_n(&helper.stop, __ATOMIC_SEQ_CST) != 0;
}

/* ---- what it does -------------------------------------------------------- */

/* Returns when there is something to give back, or it must stop. */
static void sleep_until_wanted(void)
{
    while (!must_stop() && !purge_is_wanted()) {
        __atomic_store_n(&bell, BELL_ASLEEP, __ATOMIC_SEQ_CST);
        if (!must_stop()) {
            os_wait_for(&bell, BELL_ASLEEP, purge_interval());
        }
        if (!must_stop() && !purge_is_wanted()) {
            os_wait(&bell, BELL_ASLEEP);
        }
        if (__atomic_load_n(&bell, __ATOMIC_RELAXED) == BELL_AWAKE) {
            sleepers_expect();
        }
        __atomic_store_n(&bell, BELL_AWAKE, __ATOMIC_SEQ_CST);
    }
}

static void *help(void *unused)
{
    (void)unused;
    __atomic_store_n(&helper.number, os_thread(), __ATOMIC_RELAXED);
    os_name_thread("ptm-helper");
    while (!must_stop()) {
        sleep_until_wanted();
        os_wait_for(&helper.stop, 0, purge_interval());
        while (!must_stop() && purge_step()) {
        }
    }
    return NULL;
}

/* ---- beginning and end --------------------------------------------------- */

static bool change_from(uint32_t state)
{
    return __atomic_compare_exchange_n(&helper.state, &state, HELPER_CHANGING,
                                       false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static void change_to(uint32_t state)
{
    __atomic_store_n(&helper.state, state, __ATOMIC_RELEASE);
}

/* The stack has room for the program's thread-local data as well, the size of
 * which nobody tells; it is refused if it has not. */
static bool make_thread(thread_maker *make)
{
    pthread_attr_t attributes;
    bool done = false;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    for (size_t stack = HELPER_STACK_MIN; !done && stack <= HELPER_STACK_MAX;
         stack *= 4) {
        done = pthread_attr_setstacksize(&attributes, stack) == 0 &&
               make(&helper.thread, &attributes, help, NULL) == 0;
    }
    pthread_attr_destroy(&attributes);
    return done;
}

/* A thread has the signal mask of the one that makes it. */
static bool make_thread_without_signals(thread_maker *make)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
        return false;
    }
    bool done = make_thread(make);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return done;
}

/* A process made without libc's fork inherits the word and not the thread; one
 * made by vfork has the words of its parent, whose helper is none of its
 * business. */
static bool runs_in_another_process(void)
{
    return __atomic_load_n(&helper.state, __ATOMIC_ACQUIRE) == HELPER_RUNS &&
           __atomic_load_n(&helper.process, __ATOMIC_RELAXED) != os_process();
}

void helper_start(thread_maker *make)
{
    if (option_get(OPTION_HELPER) == 0) {
        return;
    }
    uint32_t none = runs_in_another_process() ? HELPER_RUNS : HELPER_NONE;
    if (!change_from(none)) {
        return;
    }
    lock_watch_forks();
    __atomic_store_n(&helper.process, os_process(), __ATOMIC_RELAXED);
    helper.forks = lock_generation();
    __atomic_store_n(&helper.stop, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&helper.number, 0, __ATOMIC_RELAXED);
    bool runs = make_thread_without_signals(make);
    purge_leave_to_helper(runs);
    change_to(runs ? HELPER_RUNS : HELPER_NONE);
}

/* For libc a thread has ended a little earlier than for the kernel, whose
 * answers depend on how many there are. */
static void wait_for_the_kernel(void)
{
    uint32_t number = __atomic_load_n(&helper.number, __ATOMIC_RELAXED);
    for (int i = 0; i < HELPER_END_TRIES && os_thread_exists(number); i++) {
        os_yield();
    }
}

static bool end_helper(void)
{
    if (runs_in_another_process() || !change_from(HELPER_RUNS)) {
        return false;
    }
    purge_leave_to_helper(false);
    __atomic_store_n(&helper.stop, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&bell, BELL_AWAKE, __ATOMIC_SEQ_CST);
    os_wake_one(&helper.stop);
    os_wake_one(&bell);
    pthread_join(helper.thread, NULL);
    wait_for_the_kernel();
    return true;
}

/* The functions that lead here are no cancellation points, as pthread_join is;
 * and who is cancelled in the middle of the change would leave it so. */
void helper_stop(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    if (end_helper()) {
        change_to(HELPER_NONE);
    }
    pthread_setcancelstate(before, NULL);
}

/* Another thread may be starting it just now. */
void helper_stop_for_ever(void)
{
    while (!end_helper() && !change_from(HELPER_NONE)) {
        if (__atomic_load_n(&helper.state, __ATOMIC_RELAXED) == HELPER_NEVER ||
            runs_in_another_process()) {
            return;
        }
        os_yield();
    }
    change_to(HELPER_NEVER);
}

/* A handler of fork that runs before ours may have made threads, and with the
 * first of them a helper. */
static bool was_made_since_the_fork(void)
{
    return __atomic_load_n(&helper.state, __ATOMIC_ACQUIRE) == HELPER_RUNS &&
           helper.forks == lock_generation() && !runs_in_another_process();
}

void helper_after_fork(void)
{
    if (was_made_since_the_fork()) {
        return;
    }
    if (__atomic_load_n(&helper.state, __ATOMIC_RELAXED) != HELPER_NEVER) {
        change_to(HELPER_NONE);
    }
    __atomic_store_n(&bell, BELL_AWAKE, __ATOMIC_RELAXED);
    purge_leave_to_helper(false);
}
