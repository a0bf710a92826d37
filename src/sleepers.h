/*
 * sleepers.h - what the caches of threads that sleep hold goes back to their
 * arenas.
 *
 *         base                    top                base    top
 *     | NULL | a | b | c | d | END |     -->  ...  | NULL | d | END |
 *                                             a, b, c go home
 *
 * A thread whose cache looks the same at two passes of the purge, and that had
 * no processor time in between, is visited by the helper. Of each class all
 * blocks but the newest are taken: the thread may be in the middle of a malloc
 * or a free, even if it sleeps, as a signal handler may sleep on top of one;
 * and then it has one hand on the newest. Sleep is only what makes a visit
 * worthwhile. That it is right does not depend on it: the thread may wake at
 * any moment, and its malloc and free know nothing of visits.
 *
 * NULL stands for what lies below the oldest block of a class: for objects that
 * is something else without a mark (tcache_bottom), which malloc takes for the
 * end of the array as well.
 *
 * The visit. `top` is written by the thread alone. Let `cut` be the place below
 * the one that the visitor finds in `top`. The visitor
 *
 *   1. says which cache it visits, makes a barrier, and goes if the thread is
 *      busy in a slow call;
 *   2. puts NULL into the slot at `cut`, in exchange for a block;
 *   3. makes a barrier;
 *   4. reads `top` again;
 *   5. makes a barrier;
 *   6. reads the slot again. If `top` was above `cut`, and the slot is NULL
 *      still, all blocks up to `cut` are the visitor's: `base` becomes `cut`.
 *      Else it puts the block back, if the slot is NULL still.
 *
 * A barrier is os_barrier_everywhere: the thread goes through a full one at
 * some point of its program between begin and end of the call. What it has
 * stored before that point the visitor sees afterwards; what the visitor has
 * stored before the call the thread sees from that point on.
 *
 * Why slow calls and visits exclude each other. A slow call stores `busy`, then
 * loads whether it is visited; the visitor stores that, makes the barrier and
 * loads `busy`. If the thread's load came before its point, so did its store,
 * and the visitor sees it and goes. If it came after, the thread sees the
 * visitor, and waits for the end of the visit. So the thread's side needs no
 * fence, but that the compiler keeps store and load in order. The end of a slow
 * call is a release that the visitor acquires; the end of a visit is one that
 * the next slow call acquires. Hence from 1 on the thread does nothing but to
 * take blocks at `top` and to add some, until it meets a NULL, or END, and
 * waits.
 *
 * Why 6 is right. Suppose the thread has taken what the visitor got from the
 * slot, or will: it has loaded it before its point in 3, as from there on the
 * slot is NULL to it. If it comes to be above `cut` again it has stored another
 * block into the slot first, and that is not NULL. Where the visitor has seen
 * the higher `top` in 4, the store into the slot is older in the thread's
 * program, so it comes before the point in 5, and is seen in 6. (Processors
 * that keep stores in order need no 5; it is there for the others.) Where the
 * thread is not above `cut` in 4, the visitor does not know on which side of
 * its load it is, and takes nothing. So what 6 takes the thread has not got;
 * nor anything below, to which the way leads through the slot. A store of the
 * thread into the slot that comes before 2 is what 2 gets, or else 2 has
 * failed: it is a compare-and-swap. And the blocks below `cut` were stored
 * before 3, for the same reason, so the visitor reads them as they are.
 *
 * Why putting back is right. It is a compare-and-swap of NULL for the block. If
 * the thread has taken the block, its `top` is below the slot, now or when it
 * has finished taking; what the slot holds does not matter then, as the thread
 * stores into it before it looks there again, and a store that is under way
 * comes after, or the swap fails. If it has not, and waits on the NULL, it
 * finds the block when the visit is over.
 *
 * docs/visit.pml is a model of this for spin, with a thread whose stores wait
 * in a buffer and leave it in any order; tools/check-inbox checks it.
 *
 * The end of a thread: see caches.h. A child of a fork in which the visitor is
 * gone: what was put aside in 2 is put back; what was taken in 6 is lost, with
 * what else was in the hands of threads that are gone.
 *
 * Threads: only who holds the lock of a purge calls these, but for
 * sleepers_be_quiet and what may be asked: whether somebody must look again.
 */
#ifndef PTM_SLEEPERS_H
#define PTM_SLEEPERS_H

#include "base.h"

/* Looks at the cache in the place `*place` of the list and at those behind it;
 * true when one was visited: the rest is for the next step. False at the end.
 */
bool sleepers_step(size_t *place);

/* Takes what can be taken from the cache in this place; true if that was
 * anything. */
bool sleepers_rob(size_t place);

/* Some cache may have changed: it will be looked at. */
void sleepers_expect(void);

/* Whether one has changed lately, so that it must be looked at once more. */
bool sleepers_are_expected(void);

/* The program enters a sandbox, which may kill who makes barriers. */
void sleepers_be_quiet(void);

#endif
