/*
 * faulty_syscall.h - a kernel that says no.
 *
 * The allocator makes its system calls through libc's syscall(). A program
 * that is linked with faulty_syscall.c has its own syscall(), which refuses or
 * delays the memory calls that a plan names, and passes all others to the
 * kernel. What is refused has no effect, unless the plan says so, and reports
 * the plan's error through errno, as the kernel's own refusal would.
 *
 * Everything here may be called by any thread at any time. A plan is read
 * while it is in use and must not change then.
 */
#ifndef FAULTY_SYSCALL_H
#define FAULTY_SYSCALL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum faulty_kind {
    FAULTY_MMAP = 1 << 0,
    FAULTY_MUNMAP = 1 << 1,
    FAULTY_MPROTECT = 1 << 2,
    FAULTY_MADVISE = 1 << 3,
    FAULTY_MREMAP = 1 << 4,
    FAULTY_MEMBARRIER = 1 << 5,
    FAULTY_ALL = (1 << 6) - 1,
};

#define FAULTY_FOR_EVER ULONG_MAX

/*
 * First the filter: a call that passes all of it is counted. Zero in a member
 * of the filter means "any". Then, of the counted calls, which are refused:
 * those from number `first` (1 is the next one) for `how_many`, and each other
 * one with a chance of 1 in `one_in`; 0 in `first` or `one_in` means none.
 */
struct faulty_plan {
    unsigned kinds;           /* a set of enum faulty_kind; 0 is none */
    size_t at_least;          /* the length, in bytes */
    bool reservations_only;   /* only mmap without PROT_WRITE */
    bool marked_threads_only; /* see faulty_mark_this_thread */
    uintptr_t low, high;      /* the address lies in [low, high) */

    unsigned long first, how_many;
    unsigned one_in;
    uint64_t seed; /* of the chances */

    int error;   /* 0 means ENOMEM */
    bool partly; /* a madvise that is refused has done half of it before */
};

/* Puts a plan to use, NULL for none, and sets both counters to 0. */
void faulty_use(const struct faulty_plan *plan);

/* Calls of the plan in use that passed its filter. */
unsigned long faulty_calls_counted(void);

/* Calls of it that were refused. */
unsigned long faulty_calls_refused(void);

/* Marks the calling thread for marked_threads_only, or unmarks it. */
void faulty_mark_this_thread(bool marked);

/*
 * The next mmap or mprotect of the calling thread waits for faulty_release
 * before anything else happens to it, whatever the plan says. If no release
 * comes it goes on after about `milliseconds`: a test that got its scene wrong
 * must fail, not hang.
 */
void faulty_hold_next_call(unsigned milliseconds);

/* Whether the calling thread has made that call since. */
bool faulty_hold_is_over(void);

/* How many threads are being held right now. */
unsigned faulty_threads_held(void);

/* Lets every held thread go on. */
void faulty_release(void);

#endif
