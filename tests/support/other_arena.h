/*
 * other_arena.h - brings a thread to an arena other than the main one.
 *
 * With as many arenas as CPUs, more are created on contention. Contention is
 * made here, not awaited: a helper thread is held inside a system call that it
 * makes with its arena locked (faulty_syscall.h), and meanwhile the calling
 * thread allocates.
 */
#ifndef OTHER_ARENA_H
#define OTHER_ARENA_H

#include <stdbool.h>
#include <stdint.h>

/* The low half of the size word in front of a block: size and flags. The
   neighbour's free may change a flag of it at any time. */
static inline uint32_t size_word_of(const void *block)
{
    uintptr_t address = (uintptr_t)block - 8;

    return __atomic_load_n((const uint32_t *)address, __ATOMIC_RELAXED);
}

static inline bool is_direct_mapping(const void *block)
{
    return (size_word_of(block) & 2) != 0;
}

static inline bool is_outside_main_arena(const void *block)
{
    return (size_word_of(block) & 4) != 0;
}

/* Says of a block that it is where the caller wants to be. */
typedef bool is_wanted_function(const void *block);

/*
 * Makes the calling thread's allocations come from an arena whose blocks are
 * wanted; returns whether that worked. A new arena is made if there is none.
 * May be called under a plan of faulty_syscall.h; the helper threads are not
 * marked. `patience`, in milliseconds, bounds the wait where no other arena can
 * be had.
 */
bool attach_to_arena_where(is_wanted_function *is_wanted, unsigned patience);

/* The same for any arena but the main one. */
bool attach_to_another_arena(unsigned patience);

/* The process may use one CPU: so it is contention alone that makes arenas, not
 * the coming of threads. As the allocator counts the CPUs at the start, the
 * program is started anew, without arguments, if it may use more. False if the
 * kernel refuses. */
bool have_one_cpu(void);

/* Enough for the slowest machine. */
#define PATIENCE_OF_TESTS 5000

#endif
