#include "lock.h"

#include "os.h"

PTM_TLS unsigned lock_ranks_held;

/* `process` holds the number of the process in its high half and, in its low
 * half, how many forks there were on the way from the first process to it: the
 * generation. Both change together, so a fork is counted once, whoever notes it
 * first.
 *
 * `witness` points to a word that the kernel zeroes in every child (and not in
 * one made by vfork, which shares it): who finds it so and takes it in hand
 * counts the fork, for all. It spares a waiter the question which process this
 * is, and a child may have its parent's number: where both are the first in a
 * namespace of their own. Where the kernel, or who plays its part, takes the
 * order to wipe it and does not, the fork handler still asks. */
static struct {
    uint64_t process;
    uint32_t *witness;
} forks;

enum {
    WITNESS_WIPED = 0,
    WITNESS_IN_HAND,
    WITNESS_OF_PROCESS, /* the process was noted */
};

static void note_process(bool is_new)
{
    uint32_t number = os_process();
    uint64_t before = __atomic_load_n(&forks.process, __ATOMIC_ACQUIRE);
    uint64_t now;
    do {
        if (before >> 32 == number && !is_new) {
            return;
        }
        now = (uint64_t)number << 32 | (uint32_t)(before + 1);
    } while (!__atomic_compare_exchange_n(&forks.process, &before, now, false,
                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

/* Several threads of a child may come at once, if a handler of fork that runs
 * before ours makes some: one counts, the others wait for that. */
PTM_COLD static void heed_witness(uint32_t *witness)
{
    uint32_t wiped = WITNESS_WIPED;
    if (__atomic_compare_exchange_n(witness, &wiped, WITNESS_IN_HAND, false,
                                    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        note_process(true);
        __atomic_store_n(witness, WITNESS_OF_PROCESS, __ATOMIC_RELEASE);
    }
    while (__atomic_load_n(witness, __ATOMIC_ACQUIRE) == WITNESS_IN_HAND) {
        os_yield();
    }
}

static void ask_witness(void)
{
    uint32_t *witness = __atomic_load_n(&forks.witness, __ATOMIC_ACQUIRE);
    if (witness != NULL &&
        __atomic_load_n(witness, __ATOMIC_ACQUIRE) != WITNESS_OF_PROCESS) {
        heed_witness(witness);
    }
}

uint16_t lock_generation(void)
{
    ask_witness();
    return (uint16_t)__atomic_load_n(&forks.process, __ATOMIC_ACQUIRE);
}

void lock_note_fork(void)
{
    ask_witness();
    note_process(false);
}

/* Until a process has its second thread, no lock can be lost in a fork: the
 * first process that has one may call itself the first of all. */
static void adopt_process(void)
{
    uint64_t none = 0;
    __atomic_compare_exchange_n(&forks.process, &none,
                                (uint64_t)os_process() << 32, false,
                                __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void lock_watch_forks(void)
{
    if (__atomic_load_n(&forks.witness, __ATOMIC_ACQUIRE) != NULL) {
        return;
    }
    adopt_process();
    uint32_t *word = os_map_wiped_on_fork(os_page_size());
    if (word == NULL) {
        return;
    }
    *word = WITNESS_OF_PROCESS;
    uint32_t *none = NULL;
    if (!__atomic_compare_exchange_n(&forks.witness, &none, word, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        os_unmap(word, os_page_size());
    }
}

void lock_confirm(struct lock *lock)
{
    lock->generation = lock_generation();
}

bool lock_is_confirmed(const struct lock *lock)
{
    return lock->generation == lock_generation();
}

void lock_initialise(struct lock *lock, enum lock_rank rank)
{
    lock->rank = (uint16_t)rank;
    lock_reset(lock);
}

void lock_reset(struct lock *lock)
{
    lock_confirm(lock);
    __atomic_store_n(&lock->owner, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&lock->state, LOCK_FREE, __ATOMIC_RELEASE);
}

bool lock_try_patiently(struct lock *lock)
{
    for (int i = 0; i < LOCK_SPINS; i++) {
        if (__atomic_load_n(&lock->state, __ATOMIC_RELAXED) == LOCK_FREE &&
            lock_try(lock)) {
            return true;
        }
        os_pause();
    }
    return false;
}

void lock_kill(struct lock *lock)
{
    __atomic_store_n(&lock->state, LOCK_DEAD, __ATOMIC_RELEASE);
}

/* How long somebody has waited for a lock that was not confirmed, and nothing
 * has happened to it. */
struct vain_wait {
    const void *owner;
    uint64_t since; /* milliseconds; 0: has not begun */
};

/* Whether the holder of a lock that was not confirmed since a fork is gone. Who
 * is alone in his process waits for nobody that is there. Where there are other
 * threads one of them may have it: they were made before anybody has repaired
 * anything, as where no handlers of fork have run. Then it is waited for, as
 * long as it goes from hand to hand, and LOCK_PATIENCE more. */
static bool holder_is_gone(const struct lock *lock, struct vain_wait *wait)
{
    const void *owner = __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);
    if (os_is_alone()) {
        return true;
    }
    uint64_t now = os_milliseconds();
    bool is_moving =
        __atomic_load_n(&lock->state, __ATOMIC_RELAXED) != LOCK_CONTENDED;
    if (wait->since == 0 || owner != wait->owner || is_moving) {
        *wait = (struct vain_wait){owner, now};
    }
    return now - wait->since > LOCK_PATIENCE;
}

/* Until the lock changes hands, or for a moment where nobody may come to wake
 * us. */
static void sleep_for_lock(struct lock *lock, const struct vain_wait *wait)
{
    if (wait->since == 0) {
        os_wait(&lock->state, LOCK_CONTENDED);
    } else {
        os_wait_for(&lock->state, LOCK_CONTENDED, LOCK_LOOK);
    }
}

/* The futex protocol: whoever takes the lock after having waited leaves it
 * CONTENDED, because others may sleep still; a release of CONTENDED wakes
 * one. No wake-up is lost: a sleeper sleeps only while it reads CONTENDED,
 * and the release that changes the word is the one that wakes. */
bool lock_acquire_slow(struct lock *lock)
{
    struct vain_wait wait = {NULL, 0};
    if (lock_try_patiently(lock)) {
        return true;
    }
    for (;;) {
        uint32_t state = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);
        if (state == LOCK_DEAD ||
            (!lock_is_confirmed(lock) && holder_is_gone(lock, &wait))) {
            return false;
        }
        if (state != LOCK_CONTENDED &&
            !__atomic_compare_exchange_n(&lock->state, &state, LOCK_CONTENDED,
                                         false, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED)) {
            continue;
        }
        if (state == LOCK_FREE) {
            lock_note_taken(lock);
            return true;
        }
        sleep_for_lock(lock, &wait);
    }
}

/* A lock that was declared DEAD in the middle of taking or releasing it, by a
 * signal handler that forked, stays so. */
void lock_release_slow(struct lock *lock, uint32_t state)
{
    if (state == LOCK_DEAD) {
        lock_kill(lock);
    } else {
        os_wake_one(&lock->state);
    }
}
