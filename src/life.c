#define _GNU_SOURCE
#include "life.h"

#include <errno.h>
#include <pthread.h>

#include "arenas.h"
#include "caches.h"
#include "draw.h"
#include "guard.h"
#include "harden.h"
#include "helper.h"
#include "limit.h"
#include "lock.h"
#include "mapped.h"
#include "options.h"
#include "os.h"
#include "profile.h"
#include "purge.h"
#include "settings.h"
#include "tcache.h"

static struct {
    struct lock lock;
    pthread_key_t thread_key;
    bool has_thread_key;
    bool has_options;
    bool has_fork_handler;
    bool is_started; /* read without the lock: acquire */
} process = {
    .lock = LOCK_INITIAL(LOCK_RANK_START),
};

/* The thread has nothing any more that would be lost with it. */
static void leave_nothing_behind(void)
{
    tcache_destroy();
    harden_end_thread();
    arenas_detach_thread();
}

static void end_thread(void *unused)
{
    (void)unused;
    leave_nothing_behind();
    if (os_thread() == os_process()) {
        helper_stop_for_ever();
    }
}

static void after_fork_in_child(void)
{
    lock_note_fork();
    if (!lock_is_confirmed(&process.lock) && lock_is_orphaned(&process.lock)) {
        lock_reset(&process.lock);
    }
    lock_confirm(&process.lock);
    mapped_after_fork();
    purge_after_fork();
    helper_after_fork();
    caches_after_fork_in_visit();
    tcache_after_fork();
    harden_after_fork();
    draw_after_fork();
    guard_after_fork();
    arenas_after_fork();
    profile_after_fork();
}

/* Options wait for the environment, which the C library sets up after the
 * loader's first allocations. */
static void start_process(void)
{
    while (!lock_acquire(&process.lock)) {
        after_fork_in_child();
    }
    if (!process.has_thread_key) {
        process.has_thread_key =
            pthread_key_create(&process.thread_key, end_thread) == 0;
    }
    if (!process.has_options) {
        process.has_options = settings_read();
        os_note_cpus();
        tcache_set_limits();
        if (option_get(OPTION_MEMORY_LIMIT) != 0) {
            limit_reset();
        }
        if (harden_is_on()) {
            tcache_destroy();
            harden_start();
        }
        if (option_get(OPTION_PROFILE) != 0) {
            profile_start(option_get(OPTION_PROFILE));
        }
        __atomic_store_n(&process.is_started, process.has_options,
                         __ATOMIC_RELEASE);
    }
    lock_release(&process.lock);
}

/* Early, so that it stands before the handlers of others in the list, and runs
 * before theirs in the child: one of them may start a thread. The list has room
 * for the first without allocating. */
static void register_fork_handler(void)
{
    if (!__atomic_exchange_n(&process.has_fork_handler, true,
                             __ATOMIC_RELAXED)) {
        pthread_atfork(purge_before_fork, purge_after_fork_in_parent,
                       after_fork_in_child);
    }
}

void life_before_thread(void)
{
    if (unlikely(!lock_is_confirmed(&process.lock))) {
        after_fork_in_child();
    }
}

/* For a key above the first 32 libc allocates here, which comes back to us as
 * an allocation of a thread that is known; and who frees a block has an errno
 * to lose. False: there is no key, or no memory. */
static bool may_notice_end(void)
{
    int saved = errno;
    bool done = process.has_thread_key &&
                pthread_setspecific(process.thread_key, &process) == 0;
    errno = saved;
    return done;
}

void life_start_thread(void)
{
    unsigned threads = arenas_note_thread();
    if (!__atomic_load_n(&process.is_started, __ATOMIC_ACQUIRE)) {
        start_process();
    }
    if (threads > 1) {
        lock_watch_forks();
    }
    register_fork_handler();
    tcache_create();
    /* The main thread's end is the process's, as a rule. */
    if (!may_notice_end() && os_thread() != os_process()) {
        leave_nothing_behind();
    }
}

/* By now there is an environment; and what has not allocated yet may fork. The
 * end of the main thread must be noticed even if it never allocates. */
__attribute__((constructor)) static void finish_start(void)
{
    if (!__atomic_load_n(&process.is_started, __ATOMIC_ACQUIRE)) {
        start_process();
    }
    register_fork_handler();
    if (process.has_thread_key) {
        pthread_setspecific(process.thread_key, &process);
    }
}
