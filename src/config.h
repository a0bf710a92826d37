/*
 * config.h - every constant of the allocator, with its reason.
 *
 * Nothing here depends on the machine but the width of its addresses. The
 * page size is a fact of the running kernel: see os_page_size.
 */
#ifndef PTM_CONFIG_H
#define PTM_CONFIG_H

#include <stddef.h>
#include <stdint.h>

/* Assertions and lock ranks are checked in builds made with PTM_CHECKED=1;
 * the code is compiled in every build. */
#ifndef PTM_CHECKED
#define PTM_CHECKED 0
#endif

enum {
    /* What max_align_t needs on x86-64 and aarch64. */
    MALLOC_ALIGNMENT = 16,

    /* A free chunk holds prev_size, the size word and two links. */
    MIN_CHUNK_SIZE = 32,

    /* Heaps begin at multiples of this, so that masking an address finds the
     * heap. 64 MiB keeps a chunk's size below 2^32 with room for flags, and
     * the owner table at 2 MiB of (mostly untouched) bytes. */
    HEAP_MAX_SHIFT = 26,

    /* Chunk sizes below this have a bin each; larger ones share a bin with
     * sizes within 1/32 of theirs, which bounds what a search that takes the
     * first chunk of a bin can waste to 3 %. */
    EXACT_BIN_SHIFT = 10,
    SUB_BIN_SHIFT = 5,

    /* How many chunks of the request's own bin are looked at before a larger
     * one is split: keeps every search bounded. */
    BIN_PEEK_LIMIT = 4,

    /* The bins looked into for one from which an aligned chunk can be cut. */
    BIN_ALIGNED_LIMIT = 8,

    /* An owner's number is one byte, and 0 means "not ours". */
    ARENAS_MAX = 254,

    /* Threads that the scheduler may run at once contend for CPUs, not for
     * arenas, when there are a few arenas for each. */
    ARENAS_PER_CPU = 4,

    /* Tries before a lock counts as contended. A critical section is about
     * 200 instructions; a pause is about 40 cycles on current x86. */
    LOCK_SPINS = 64,

    /* A magazine: blocks of one class that move between a thread's cache and
     * its arena together. Enough that the lock is rare, few enough bytes that
     * a class costs a thread little. */
    MAGAZINE_BYTES = 8192,
    MAGAZINE_MIN = 1,
    MAGAZINE_MAX = 62,

    /* Magazines that a thread's cache holds of a class at most, and slots that
     * a class begins with. */
    CACHE_MAGAZINES = 2,
    CACHE_FIRST_SLOTS = 2,

    /* Caches of threads that have ended, kept for those to come: to unmap one
     * interrupts every CPU that the process runs on. */
    CACHE_SPARES = 8,

    /* A large class whose cache is empty, or full, tries the one beside it
     * before the lock: an eighth more memory, for a while. */
    CACHE_NEAR = 1,

    /* Classes that one slow call looks at to find one that is not used. */
    CACHE_HAND_STEPS = 4,

    /* Runs without objects that an arena keeps: so many, and one more for each
     * RUN_SPARE_SHARE runs that it has. */
    RUN_SPARES = 2,
    RUN_SPARE_SHARE = 16,

    /* Blocks that one slow call frees or sorts for others at most. */
    SLOW_STEP = 64,

    /* Outboxes of a thread; the owner's number picks one. */
    OUTBOXES = 4,

    /* Blocks that a parcel holds: as many as make it 2 KiB. It costs four
     * atomic operations from the first free to the last sorting. */
    PARCEL_BLOCKS = 254,

    /* Parcels that may wait in an inbox before those who send to it lend a
     * hand. With OUTBOX_BYTES: 2 MiB of blocks. */
    INBOX_PARCELS = 8,

    /* Slow calls after which waiting outboxes are sent whatever they hold. */
    OUTBOX_PATIENCE = 32,

    /* Freed mappings that wait to be used again, and for how long. */
    RECENT_MAPPINGS = 32,
    RECENT_MILLISECONDS = 1000,

    /* Direct mappings known before the table of them needs memory of its
     * own: no small program does. */
    MAPPED_STATIC_SLOTS = 64,
};

#define HEAP_MAX_SIZE   ((size_t)1 << HEAP_MAX_SHIFT)
#define EXACT_BIN_LIMIT ((size_t)1 << EXACT_BIN_SHIFT)

/* A heap grows by at least this, or by the given share of what its arena has,
 * so that the number of system calls stays logarithmic. */
#define HEAP_GROW_MIN   ((size_t)128 << 10)
#define HEAP_GROW_SHARE 8

/* The least that is reserved when the full 64 MiB are refused. */
#define HEAP_MIN_RESERVE ((size_t)256 << 10)

/* Under a limit on address space one heap reserves at most this share of it,
 * and grows its reservation in place when it needs more. */
#define ADDRESS_SPACE_SHARE 16

/* Requests from here on are mapped on their own. Below, a fault costs more
 * than the fragmentation that a heap risks. */
#define DEFAULT_MMAP_THRESHOLD ((size_t)256 << 10)
#define DEFAULT_MMAP_MAX       65536

/* What freed mappings that wait to be used again hold by default, and how
 * much more than what was once live they and those in use may come to. */
#define DEFAULT_MAPPED_CACHE ((size_t)32 << 20)
#define RECENT_EXTRA_SHARE   8

/* A thread caches no larger requests than this by default. */
#define DEFAULT_TCACHE_MAX ((size_t)1 << 18)

/* What the slots of one large class in a thread's cache can hold. A program
 * that replaces blocks of mixed sizes leaves a class alone for long and then
 * wants several blocks of it; what it finds here costs no lock. */
#define CLASS_CACHE_BYTES ((size_t)256 << 10)
#define CLASS_SLOTS_MAX   16

/* What the slots of one thread's cache can hold, in bytes of blocks: the
 * given share of what its arena has from the kernel, within these bounds. As
 * a rule half of the slots are in use. */
#define CACHE_BYTES_MIN   ((size_t)2 << 20)
#define CACHE_BYTES_MAX   ((size_t)4 << 20)
#define CACHE_BYTES_SHARE 2

/* A block that realloc has to make larger is likely to grow again: it gets
 * this share more than it had, if that is more than what is asked for. */
#define REALLOC_SLACK_SHARE 4

/* One that is smaller than it was stays as it is, until this share of what it
 * still needs is to spare. More than slack and the step of a class come to. */
#define REALLOC_SPARE_SHARE 2

/* Up to this size it is cheaper to copy a block to one from the cache than to
 * split or merge chunks under the lock. */
#define REALLOC_COPY_MAX ((size_t)16 << 10)

/* What one outbox may hold back, in bytes of blocks above 1 KiB; the others are
 * bounded by their number, and are 256 KiB at most. */
#define OUTBOX_BYTES ((size_t)256 << 10)

/* Chunks of one class that an arena has lent before it makes runs for their
 * requests: less than the first run of a class takes would be no gain. */
#define RUN_DEMAND ((size_t)2 << 10)

/* Requests up to this are served from runs by default. */
#define DEFAULT_RUN_MAX ((size_t)1 << 10)

/* What an arena keeps in its depot without merging it: this, or the given
 * share of what it has in use. */
#define DEPOT_BYTES      ((size_t)128 << 10)
#define DEPOT_LIVE_SHARE 16

/* Metadata of an arena is mapped by so much at a time. */
#define METADATA_STEP ((size_t)64 << 10)

/* A top that has this many touched bytes more than its arena has in use
 * elsewhere/4 is returned to the kernel. */
#define DEFAULT_TRIM_THRESHOLD ((size_t)4 << 20)
#define TRIM_LIVE_SHARE        4

/* User space addresses that the kernel hands out unless it is asked for
 * higher ones, which ptm never does. */
#if defined(__x86_64__)
#define ADDRESS_BITS 47
#elif defined(__aarch64__)
#define ADDRESS_BITS 48
#else
#error "ptm runs on x86-64 and aarch64"
#endif

#endif
