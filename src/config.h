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

/* 0 in a build that only bench/price makes, to weigh what the checks cost:
 * there are no seals, marks and hidden links then, and nobody asks for them. */
#ifndef PTM_SEALED
#define PTM_SEALED 1
#endif

/* Whether this is a shared library, which can stand before libc's functions
 * and call them: see threads.c. */
#ifndef PTM_SHARED
#define PTM_SHARED 0
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

    /* Of those, arenas that a program may have made for itself at a time. */
    PRIVATE_ARENAS_MAX = 128,

    /* Threads that the scheduler may run at once contend for CPUs, not for
     * arenas, when there are a few arenas for each. */
    ARENAS_PER_CPU = 4,

    /* Arenas more than CPUs that new threads get for themselves: the thread
     * that starts a worker for each CPU has had one, and waits. */
    ARENAS_EXTRA = 1,

    /* How often a thread that is alone in its arena lets others run, until it
     * moves away from whoever has the lock: some milliseconds, where a step of
     * a sweep, or of sorting what has come home, takes 60 us at most. */
    ALONE_PATIENCE = 1000,

    /* Tries before a lock counts as contended. A critical section is about
     * 200 instructions; a pause is about 40 cycles on current x86. */
    LOCK_SPINS = 64,

    /* In a child of fork where nobody has repaired the locks before there were
     * threads: milliseconds that a lock must have been held by the same thread
     * until that one counts as lost, many times what any needs; and how often
     * it is looked at. */
    LOCK_PATIENCE = 2000,
    LOCK_LOOK = 20,

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

    /* Caches of threads that a reader outside finds; of further ones it sees
     * the blocks but not whose they are. Only those used are touched. */
    CACHES_LISTED = 4096,

    /* A large class whose cache is empty, or full, tries the one beside it
     * before the lock: an eighth more memory, for a while. */
    CACHE_NEAR = 1,

    /* So many times a class had no slot for a block, and none had no block for
     * a request: the thread does nothing but free. */
    CACHE_OVERFLOWS = 64,

    /* Looks at a cache that does not change, of a thread that runs, until
     * nobody looks again before there is a slow call somewhere; and what makes
     * one sequence of places differ from another. */
    SLEEPER_LOOKS = 8,
    SLEEPER_FACTOR = 31,

    /* Classes that one slow call looks at to find one that is not used. */
    CACHE_HAND_STEPS = 4,

    /* Runs without objects that an arena keeps: so many, and one more for each
     * RUN_SPARE_SHARE runs that it has. */
    RUN_SPARES = 2,
    RUN_SPARE_SHARE = 16,

    /* A new span has a page for so many runs that there are, but 128 at most:
     * 2 MiB, of which one page of 4 KiB in 512 holds a header. */
    RUN_SPAN_SHARE = 4,
    RUN_SPAN_SHIFT = 7,

    /* Blocks that one slow call frees or sorts for others at most. */
    SLOW_STEP = 64,

    /* Blocks that a depot with too much loses at least, when some come: fewer
     * keep more memory, and more make that call longer. */
    DEPOT_STEP = 48,

    /* Chunks about to be freed for which what they will be merged with is
     * fetched at a time: as many misses as a core can have under way. */
    AHEAD_CHUNKS = 8,

    /* Objects of WATCHED pages that a thread frees before it ends the watch
     * over the page of the last: each takes some 13 ns longer than others, and
     * to fault the three quarters of a page in that may be clean about a
     * microsecond. */
    WATCH_PATIENCE = 64,

    /* A thread trades blocks with others when it was filled with so many times
     * what lives in its arena while it sent home this share of as many blocks.
     * Who replaces the blocks that another has left comes to one time. */
    TRADE_TURNS = 2,
    TRADE_SHARE = 2,

    /* Outboxes of a thread; the owner's number picks one. */
    OUTBOXES = 4,

    /* Blocks that a parcel holds: as many as make it 2 KiB. It costs four
     * atomic operations from the first free to the last sorting. */
    PARCEL_BLOCKS = 254,

    /* Parcels that may wait in an inbox before those who send to it lend a
     * hand. With OUTBOX_BYTES: 2 MiB of blocks. */
    INBOX_PARCELS = 8,

    /* ... and before they wait for the lock to do so: what is under way is
     * memory too. */
    INBOX_PARCELS_MOST = 64,

    /* Slow calls after which waiting outboxes are sent whatever they hold. */
    OUTBOX_PATIENCE = 32,

    /* Where the kernel had no memory for a parcel or a magazine, so many frees
     * go by before it is asked again. Of 16 to 18 million calls that were
     * refused to stress/oom_limited, 60,000 are left; and 256 frees that do
     * without while there is memory again are a matter of microseconds. */
    REFUSAL_PATIENCE = 256,

    /* Freed mappings that wait to be used again. */
    RECENT_MAPPINGS = 32,

    /* One step of a sweep, with an arena's lock held: calls of the kernel,
     * and free chunks looked at. */
    SWEEP_STEP_CALLS = 16,
    SWEEP_STEP_CHUNKS = 256,

    /* What a sweep gave back for being too much is wanted again within this
     * time: so it was not too much. Halved after so many sweeps. */
    RETURN_TOO_SOON = 1000,

    /* Too much for so many milliseconds is too much: a program that frees all
     * it has may be about to begin anew. */
    EXCESS_MILLISECONDS = 100,

    ALLOWANCE_SWEEPS = 16,

    /* Slow calls of a thread after which it looks at the clock. */
    PURGE_PATIENCE = 32,

    /* The helper's stack, which must have room for the program's thread-local
     * data; and how often it is looked whether the kernel has seen its end,
     * which takes microseconds. */
    HELPER_STACK_MIN = 64 << 10,
    HELPER_STACK_MAX = 4 << 20,
    HELPER_END_TRIES = 100000,

    /* How often a fork lets others run until the helper has made its step. */
    FORK_PATIENCE = 1000,

    /* Blocks of no bytes: 64 of these words of 64 are looked at for a free
     * address before an ordinary block is made. */
    ZERO_PATIENCE = 64,

    /* Guarded blocks at a time, and how many callers each remembers: 4.5 KiB
     * of records, and up to 16 pages. */
    GUARD_SLOTS = 16,
    GUARD_STACK_DEPTH = 14,

    /* One guarded block in so many lies at the start of its page and not at the
     * end: more run over than under. */
    GUARD_START_SHARE = 4,

    /* What the bytes around a guarded block hold: no text, no small number. */
    GUARD_FILL = 0xb7,

    /* A profile: how many callers a stack has at most, which is as many as
     * pprof shows on a line; its tables are looked up by so many buckets each,
     * 256 KiB in all, and who looks without the lock gives up after so many
     * steps. */
    PROFILE_DEPTH = 64,
    PROFILE_BUCKETS = 1 << 15,
    /* Counts that say that a block is no sample: while there are few thousand
     * of them, as of 2 GiB with one in 512 KiB, nine of ten such frees see it.
     */
    PROFILE_FILTER = 1 << 15,
    PROFILE_STEPS = 100,

    /* Hardened mode: what a thread, or an arena, keeps in quarantine, and among
     * how many of the oldest the next to leave is chosen. The word that
     * canaries are drawn with is no chunk's. */
    QUARANTINE_BLOCKS = 1024,
    QUARANTINE_BYTES = 256 << 10,
    QUARANTINE_CHOICE = 64,

    /* When a thread's is full and a block of it goes back to the heap, others
     * do as well, up to so many, or this share of the bytes. */
    QUARANTINE_LEAVING = 16,
    QUARANTINE_LEAVING_SHARE = 8,

    /* Once those of all threads could hold so much, further ones have less. */
    QUARANTINES_BYTES = 32 << 20,
    QUARANTINE_BYTES_MIN = 32 << 10,

    HARDEN_TWEAK = 0,

    /* More bytes than these are compared faster by the C library. */
    HARDEN_FEW_BYTES = 128,

    /* More than a canary ever has: a chunk of the least size for a block of no
     * bytes, and what was too little to be cut off. */
    SLACK_END = 42,

    /* Small blocks of one size among which an arena chooses in this mode, and
     * how many it carves at a time: a page of them, or these. */
    STOCK_SLOTS = 16,
    STOCK_BYTES = 4096,
    STOCK_LEAST = 4,

    /* In this mode, freed mappings whose addresses wait. */
    WALLED_WAITING = 32,

    /* Direct mappings known before the table of them needs memory of its
     * own: no small program does. */
    MAPPED_STATIC_SLOTS = 64,
};

#define HEAP_MAX_SIZE ((size_t)1 << HEAP_MAX_SHIFT)

/* The address space of which each page has a tag, and how much of that is below
 * the first heap: heaps grow downwards, with the other mappings of the program
 * between them. 16 GiB need 2 MiB of memory that may be written, which counts
 * where that is limited (tests/life/little_commit.c). */
#define TAGS_WINDOW_SHIFT 34
#define TAGS_BELOW        ((size_t)12 << 30)

#define EXACT_BIN_LIMIT ((size_t)1 << EXACT_BIN_SHIFT)

/* A heap grows by at least this, or by the given share of what its arena has,
 * so that the number of system calls stays logarithmic. */
#define HEAP_GROW_MIN   ((size_t)128 << 10)
#define HEAP_GROW_SHARE 8

/* What one entry of the kernel's middle table of pages maps, where pages have
 * 4 KiB. */
#define HUGE_PAGE_SIZE ((size_t)2 << 20)

/* An arena with so much live memory asks for huge pages: what the last of them
 * has and nobody uses is 6 % at most. One that has had more before does so from
 * the second of these on, for what it had then. */
#define HUGE_FROM       ((size_t)32 << 20)
#define HUGE_AGAIN_FROM ((size_t)8 << 20)

/* What has swung has outgrown that when it is larger by this share. */
#define HUGE_OUTGROWN_SHARE 8

/* So many huge pages in a row during which the coarse clock has moved are slow
 * ones, and nobody asks for more for so many milliseconds. One takes 0.2 ms; a
 * tick of the clock is 4, as a rule, and 1 at least. */
#define HUGE_SLOW_ROW 3
#define HUGE_REST     10000

/* Of 512 pages so many may be there: to give them back and to have them made
 * again costs less than to fault the others in. */
#define HUGE_DIRTY_PAGES 256

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
#define DEFAULT_MAPPED_CACHE ((size_t)128 << 20)
#define RECENT_EXTRA_SHARE   2

/* Where nobody comes by later, a program that calls nothing any more keeps
 * them for ever: so it is little, and the given share of what is live besides,
 * until more has been missed. */
#define RECENT_ALONE      ((size_t)2 << 20)
#define RECENT_LIVE_SHARE 4

/* How long freed memory stays in case it is wanted again, in milliseconds: many
 * times what its faults would cost, and little to who looks at the process. */
#define DEFAULT_DECAY 1000

/* A thread caches no larger requests than this by default. */
#define DEFAULT_TCACHE_MAX ((size_t)1 << 18)

/* What the slots of one large class in a thread's cache can hold. A program
 * that replaces blocks of mixed sizes leaves a class alone for long and then
 * wants several blocks of it; what it finds here costs no lock. With more slots
 * than these, large classes take them from each other. */
#define CLASS_CACHE_BYTES ((size_t)256 << 10)
#define LARGE_SLOTS_MAX   20

/* Slots of a class of objects at least, where misses repeat: two magazines of
 * the largest are 16. */
#define OBJECT_SLOTS_MIN 32

/* What the slots of one thread's cache can hold, in bytes of blocks: the
 * given share of what its arena has from the kernel, within these bounds. As
 * a rule half of the slots are in use. */
#define CACHE_BYTES_MIN   ((size_t)2 << 20)
#define CACHE_BYTES_MAX   ((size_t)4 << 20)
#define CACHE_BYTES_SHARE 2

/* What the slots of all threads' caches together can hold: this, or the given
 * share of what is live. A cache that is small may be had even so. */
#define CACHES_BYTES_MIN   ((size_t)32 << 20)
#define CACHES_BYTES_SHARE 8
#define CACHE_BYTES_ALWAYS ((size_t)64 << 10)

/* Bytes that can be taken from the cache of a thread that sleeps for which it
 * is visited: three times, all processors that run the program are interrupted.
 */
#define SLEEPER_BYTES ((size_t)8 << 10)

/* Where they can hold so much, a thread that does nothing but free loses slots,
 * as long as a class of objects has so many bytes of them: it may fall asleep
 * when it is done, and each object that it keeps then may keep a page. 2 KiB in
 * place of 4 are 1 MiB less in 16 threads that have freed 540 MB; and those who
 * free blocks of 100 to 3,000 bytes need 11 % more instructions, and not 5. */
#define CACHES_BYTES_FREEING ((size_t)4 << 20)
#define CLASS_BYTES_FREEING  ((size_t)4 << 10)

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

/* ... and with so much, however little lives: what a few tasks handed over is
 * no trade. */
#define TRADE_LEAST ((size_t)512 << 10)

/* Chunks of one class that an arena has lent before it makes runs for their
 * requests: less than the first run of a class takes would be no gain. */
#define RUN_DEMAND ((size_t)4 << 10)

/* ... or so much, in an arena that has so much from the kernel: its first run
 * is little there, and of sizes that lie on both sides nobody can predict of
 * which kind a block is. */
#define RUN_DEMAND_LARGE      ((size_t)1 << 10)
#define RUN_DEMAND_LARGE_FROM ((size_t)512 << 10)

/* Of up to four classes of objects that are next to each other the largest
 * serves all but the first in demand, until it has so many runs: 128 KiB, of
 * which an eighth is lost at most. */
#define SHARED_RUNS 8

/* Requests up to this are served from runs by default. */
#define DEFAULT_RUN_MAX ((size_t)1 << 10)

/* What an arena keeps in its depot without merging it: this, or the given
 * share of what it has in use. */
#define DEPOT_BYTES      ((size_t)256 << 10)
#define DEPOT_LIVE_SHARE 64

/* Chunks that are made ahead for a cache come to this at most: each is a page
 * to touch, if it is large, in the one call that makes them. */
#define TAKE_NEW_BYTES ((size_t)16 << 10)

/* ... and no more blocks than this, however small: their magazines, 8 bytes a
 * block, are never given back. */
#define DEPOT_BLOCKS ((size_t)16384)

/* Metadata of an arena is mapped by so much at a time. */
#define METADATA_STEP ((size_t)64 << 10)

/* Bytes that one step of a sweep returns: the kernel needs 60 us for a MiB, in
 * which other threads may want the lock. Who frees too much does so alone, as a
 * rule. */
#define SWEEP_STEP_BYTES  ((size_t)256 << 10)
#define EXCESS_STEP_BYTES ((size_t)1 << 20)
#define EXCESS_BYTES_MAX  ((size_t)128 << 20)
#define ASKED_STEP_BYTES  ((size_t)4 << 20)

/* An arena in which so many free bytes are dirty, and the given share of what
 * is live besides, returns them to the kernel at once. */
#define DEFAULT_TRIM_THRESHOLD ((size_t)2 << 20)
#define TRIM_LIVE_SHARE        4

/* What a process gets from the kernel before it is first asked how much it may
 * have, which costs as much as a dozen faults: 70 of the 870 us that `ls`
 * takes. And how much at most from one time to the next, where there is a
 * limit. Where there is no more room, all is given back each time that a share
 * of the limit was got. */
#define LIMIT_FIRST      ((ptrdiff_t)1 << 20)
#define LIMIT_LOOK       ((size_t)128 << 20)
#define LIMIT_STEP_SHARE 32
#define LIMIT_STEP_MIN   ((size_t)1 << 20)

/* Addresses for blocks of no bytes: 16 bytes each, and a bit: 8 KiB of them.
 * Who has more of them than 65,536 gets ordinary blocks. */
#define ZERO_REGION ((size_t)1 << 20)

/* Closed address space for blocks of no bytes and, behind them, for guarded
 * ones: the latter take twice as many pages as there are slots, and one more;
 * of 64 KiB at most. */
#define CLOSED_REGION (ZERO_REGION + (2 * GUARD_SLOTS + 1) * ((size_t)64 << 10))

/* Of so many blocks one is guarded by default. */
#define DEFAULT_GUARD ((size_t)(PTM_SEALED ? 5000 : 0))

/* What lies further apart are not the frames of one stack. */
#define STACK_FRAME_MAX ((size_t)1 << 20)

/* Bytes between two allocations that a profile notes, where nobody says: as in
 * other allocators, one stack in a few hundred microseconds at most. */
#define DEFAULT_PROFILE ((size_t)512 << 10)

/* Address space for each of a profile's two tables, samples and stacks: 1.6
 * million live ones of 40 bytes, which is 800 GiB live; and memory for them,
 * at a time. */
#define PROFILE_TABLE ((size_t)64 << 20)
#define PROFILE_STEP  ((size_t)64 << 10)

/* The keys lie in a page of their own, and hooks in another. Kernels for
 * aarch64 that have larger ones leave them writable. */
#define KEYS_PAGE  ((size_t)4096)
#define HOOKS_PAGE ((size_t)4096)

/* The administrator's options, for all programs or for some. */
#define SETTINGS_FILE "/etc/ptm.conf"

/* No more of it is read: every program waits for that, and would for ever if
 * the name were one of a device. Thousands of sections have room. */
#define SETTINGS_FILE_MAX ((size_t)256 << 10)

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
