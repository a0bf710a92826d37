#include "lock.h"

#include "os.h"

PTM_TLS unsigned lock_ranks_held;

/* The generation counts forks on the way from the first process to this one.
 *
 * `witness` points to a word that the kernel zeroes in every child (and not
 * in one made by vfork, which shares it). 1 says that the generation is this
 * process's. Written by a child's first waiter or its fork handler; at that
 * time the child has one thread, or, after a bare clone without handlers, a
 * few, of which the exchange picks one. */
static struct {
    uint32_t generation;
    uint32_t *witness;
} forks;

static uint16_t current_generation(void)
{
    uint32_t *witness = __atomic_load_n(&forks.witness, __ATOMIC_ACQUIRE);
    if (witness != NULL &&
        __atomic_exchange_n(witness, 1, __ATOMIC_ACQ_REL) == 0) {
        __atomic_add_fetch(&forks.generation, 1, __ATOMIC_RELEASE);
    }
    return (uint16_t)__atomic_load_n(&forks.generation, __ATOMIC_ACQUIRE);
}

void lock_note_fork(void)
{
    uint32_t *witness = __atomic_load_n(&forks.witness, __ATOMIC_ACQUIRE);
    if (witness == NULL) {
        __atomic_add_fetch(&forks.generation, 1, __ATOMIC_RELEASE);
    }
    current_generation();
}

void lock_watch_forks(void)
{
    if (__atomic_load_n(&forks.witness, __ATOMIC_ACQUIRE) != NULL) {
        return;
    }
    uint32_t *word = os_map_wiped_on_fork(os_page_size());
    if (word == NULL) {
        return;
    }
    *word = 1;
    uint32_t *none = NULL;
    if (!__atomic_compare_exchange_n(&forks.witness, &none, word, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        os_unmap(word, os_page_size());
    }
}

void lock_confirm(struct lock *lock)
{
    lock->generation = current_generation();
}

bool lock_is_confirmed(const struct lock *lock)
{
    return lock->generation == current_generation();
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

/* The futex protocol: whoever takes the lock after having waited leaves it
 * CONTENDED, because others may sleep still; a release of CONTENDED wakes
 * one. No wake-up is lost: a sleeper sleeps only while it reads CONTENDED,
 * and the release that changes the word is the one that wakes. */
bool lock_acquire_slow(struct lock *lock)
{
    if (lock_try_patiently(lock)) {
        return true;
    }
    for (;;) {
        uint32_t state = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);
        if (state == LOCK_DEAD || !lock_is_confirmed(lock)) {
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
        os_wait(&lock->state, LOCK_CONTENDED);
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
