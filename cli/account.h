/*
 * account.h - what each resident kilobyte of a process is for.
 *
 *     regions (smaps)    |  libraries  | heap | mapping | stack | ...
 *     claims                           | heap | map |cache| ...      the
 *     pages of claims                  |x xx  | xxx |x    | allocator's
 *
 * What the allocator has is claimed, page by page; each resident page of a heap
 * is split by what its bytes are. What no claim has is the region's own kind.
 * So the rows add up to what the kernel counts, by construction, but for what
 * the process has changed while it was read: that is a row as well.
 */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include "heapwalk.h"

enum row {
    row_live,         /* blocks in heaps that the program has */
    row_live_mapped,  /* large blocks with a mapping of their own */
    row_guarded,      /* blocks between closed pages */
    row_thread_cache, /* freed blocks kept by threads */
    row_depot,        /* ... by arenas */
    row_under_way,    /* ... on their way home to another arena */
    row_quarantine,   /* ... in hardened mode */
    row_pinned,       /* free chunks, on pages that live blocks are on too */
    row_pinned_run,   /* ... free objects of runs, on such pages */
    row_pinned_cache, /* free, on pages that only cached blocks are on */
    row_free,         /* free, whole pages */
    row_top,          /* free, whole pages at the end of heaps */
    row_recent,       /* freed mappings, kept to be used again */
    row_metadata,     /* the allocator's own data */
    row_torn,         /* of heaps, and could not be made out */
    row_files,        /* programs, libraries, files */
    row_stacks,
    row_shared,
    row_other, /* anonymous memory that others mapped */
    row_changed,
    row_count,
    row_first_foreign = row_files
};

enum {
    size_bucket_count = 320,
    run_class_count = 128,
    complaints_most = 8,
    complaint_length = 160
};

/* Live blocks of about one size; the bytes are what they take. */
struct size_bucket {
    uint64_t count, bytes;
};

/* The runs for objects of one size; resident bytes. */
struct run_account {
    uint32_t size; /* 0: there are none */
    uint64_t live, cached, free;
};

struct arena_account {
    unsigned number, threads, heaps, tears;
    uint64_t committed, reserved;
    uint64_t rows[row_count];
};

struct thread_account {
    uint32_t thread;
    unsigned arena;
    uint64_t blocks, bytes; /* in its cache */
    bool is_asleep, is_gone;
};

struct account {
    int64_t rows[row_count];
    uint64_t resident, swapped; /* the sum of the rows; not in it */
    struct arena_account *arenas;
    size_t arena_count;
    struct thread_account *threads;
    size_t thread_count;
    /* By address, whatever is resident of it. */
    uint64_t live_bytes, live_blocks, mapped_bytes, mapped_blocks;
    uint64_t largest_mapped;
    uint64_t cached_bytes, free_bytes;
    uint64_t active_bytes; /* pages of heaps with a block in use or cached */
    uint64_t committed_bytes, reserved_bytes;
    struct size_bucket sizes[size_bucket_count];
    struct run_account runs[run_class_count]; /* by size / 16 */
    unsigned tears;
    unsigned complaint_count;
    char complaints[complaints_most][complaint_length];
};

/* Who wants to see each heap and each block as well; all may be NULL. */
struct account_watcher {
    void *context;
    void (*heap)(void *context, const struct heap_view *heap,
                 const unsigned char *states);
    block_visitor *block;
};

/* False when there is no memory for it. */
bool account_take(struct account *account, const struct memory *memory,
                  const struct layout *layout,
                  const struct account_watcher *watcher);
void account_free(struct account *account);

/* The largest block size of a bucket. */
uint64_t size_bucket_most(unsigned bucket);

#endif
