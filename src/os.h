/*
 * os.h - everything ptm asks of the kernel, and the only door to it.
 *
 * The contract of all functions: they allocate nothing, may be called by any
 * thread and before libc has run its constructors, and leave errno as it was.
 * Addresses and sizes of memory are multiples of os_page_size(), which is
 * itself a power of two of at least 4 KiB.
 */
#ifndef PTM_OS_H
#define PTM_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base.h"

size_t os_page_size(void);

/* Address space that reads as zero: no memory behind it, no commit charge, and
 * a write faults. NULL when refused. */
void *os_reserve(size_t size);

/* The same at exactly `address`; false when that is taken or refused. */
bool os_reserve_at(void *address, size_t size);

/* Makes reserved memory readable and writable. Memory that was not touched
 * since it was reserved reads as zero. False when refused (commit limit, or
 * too many mappings). */
bool os_commit(void *address, size_t size);

/* Takes committed memory back to the reserved state and frees its pages.
 * False when refused: the memory is then as it was. */
bool os_decommit(void *address, size_t size);

/* Readable, writable, zeroed memory anywhere; NULL when refused. */
void *os_map(size_t size);

/* The same between two closed pages, so that who runs off the end of it faults,
 * and who runs off the end of what lies beside it does before he gets there. */
void *os_map_fenced(size_t size);
bool os_unmap_fenced(void *address, size_t size);

/* Memory that may not even be read from now on; it keeps its contents, and
 * os_commit opens it again. False when refused: nothing has changed then. */
bool os_close(void *address, size_t size);

/* The same, and its pages are freed: when it is opened again it reads as zero.
 * False when refused: the memory is then as it was. */
bool os_take_away(void *address, size_t size);

/* Memory that may be read and no more. False when refused. */
bool os_freeze(void *address, size_t size);

/* Frees the pages of committed memory, which then reads as zero; the memory
 * stays committed. False when refused: the contents are then undefined only
 * in that some pages may be zero. */
bool os_purge(void *address, size_t size);

/* Unmaps. False when refused (the split would exceed the kernel's limit of
 * mappings); the memory is then as it was. */
bool os_unmap(void *address, size_t size);

/* Moves or resizes a mapping made by os_map; the contents come along. NULL
 * when refused: the mapping is then as it was. */
void *os_remap(void *address, size_t old_size, size_t new_size);

/* Memory that reads as zero again in a child made by fork; NULL when the
 * kernel does not know how. */
void *os_map_wiped_on_fork(size_t size);

/* Keeps huge pages away from memory that is touched here and there; or says
 * that they are welcome. False when refused. */
bool os_avoid_huge_pages(void *address, size_t size);
bool os_welcome_huge_pages(void *address, size_t size);

/* Whether the system makes huge pages where it is advised to, and only there,
 * as it was when that was noted, which reads a file. */
void os_note_huge_pages(void);
bool os_huge_pages_are_by_advice(void);

/* Whether a word may be read there; `address` is a multiple of 8. */
bool os_can_read(const void *address);

/* From now on a memory fault of the program is shown to `report`, with the
 * address; if that returns, it takes its course as if nobody had looked. Only
 * where the program has no handler for it, and until it sets one. */
void os_watch_faults(void (*report)(const void *address));

/* How many CPUs the affinity mask has; 0: the kernel does not tell. A thread
 * that asks may have been pinned to one CPU, as its siblings to theirs: so the
 * mask is the one that was noted, once there is one. */
unsigned os_affinity_count(void);

/* Called before the process has a second thread, as a rule. */
void os_note_cpus(void);

/* How many CPUs this process may really use, at least 1: the affinity mask,
 * cut down to the quota of its cgroup and of those above it (v1 and v2). */
unsigned os_cpu_limit(void);

/* What a limit leaves, in bytes; both SIZE_MAX when there is none. */
struct os_memory {
    size_t limit;
    size_t room; /* how much more would reach it */
};

/* Of the memory limits (high and max) of its cgroup and of those above it, the
 * one with the least room: what all processes there have counts, but not what
 * is cached of files. */
struct os_memory os_cgroup_memory(void);

/* Bytes that this process has in memory, without those of files and what it
 * shares; 0 when the kernel does not tell. */
size_t os_own_memory(void);

/* Number of the CPU that runs this thread; a hint. */
unsigned os_current_cpu(void);

/* RLIMIT_AS in bytes; SIZE_MAX when there is none. */
size_t os_address_space_limit(void);

/* True in a set-user-ID program and its like, where the environment is the
 * attacker's. */
bool os_is_secure(void);

/* Sixteen random bytes: fresh ones, or, where the kernel has none to give or
 * is not to be asked, those that it drew for this process when it started. */
void os_random_bytes(uint64_t random[2]);

/* The number of this process. */
uint32_t os_process(void);

/* A clock that never goes back, good to some ten milliseconds and cheap. */
uint64_t os_milliseconds(void);

/* A file to read from, or -1. Close it. A pipe of that name is not waited for,
 * and reads as empty. */
int os_open_file(const char *path);

/* Up to `capacity` bytes from where the file stands; 0 at its end, and when it
 * cannot be read. */
size_t os_read_file(int file, char *bytes, size_t capacity);

void os_close_file(int file);

/* The file that this process runs, as a string; false when the kernel does not
 * tell, or the path does not fit. */
bool os_program_path(char *path, size_t capacity);

/* Writes all bytes to standard error, without being a cancellation point. */
void os_write_error(const char *text, size_t length);

/* Sleeps while *word == expected, until os_wake_one(word); may return early.
 */
void os_wait(uint32_t *word, uint32_t expected);
void os_wake_one(uint32_t *word);

/* As os_wait, for so many milliseconds at most. */
void os_wait_for(uint32_t *word, uint32_t expected, uint64_t milliseconds);

/* Lets another thread run on this CPU. */
void os_yield(void);

/* The number of this thread, and whether one of this process still exists. The
 * main thread has the number of the process. */
uint32_t os_thread(void);
bool os_thread_exists(uint32_t number);

/* Whether this process has no other thread. False where nobody tells. */
bool os_is_alone(void);

/* Processor time that a thread of this process has had, in nanoseconds; 0 where
 * nobody tells, or there is none with this number. */
uint64_t os_thread_time(uint32_t number);

/* When this returns, every other thread of this process has gone through a full
 * memory barrier since it was called, whatever it is doing. False where the
 * kernel does not know how. */
bool os_barrier_everywhere(void);

/* Gives this thread a name of up to 15 characters, for ps and gdb. */
void os_name_thread(const char *name);

/* Tells the CPU that this thread is spinning. */
static inline void os_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("isb" ::: "memory");
#endif
}

#endif
