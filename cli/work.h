/*
 * work.h - an account while it is being made: what its files share.
 *
 *     claims.c    tables of the process  -> claims: from where to where, what
 *     caches.c    lists of freed blocks  -> which blocks are kept, and by whom
 *     tally.c     pages of claims        -> rows, blocks of heaps one by one
 *     account.c   the order of these, and what no claim has
 */
#ifndef WORK_H
#define WORK_H

#include "account.h"

enum {
    unknown_doubt = -1,
    places_shift = 14,
    places_count = 1 << 18 /* as many as 4 GiB have */
};

struct claim {
    uint64_t start, end;
    enum row row;
    bool is_heap;
    uint8_t arena; /* index of a heap's arena number, as its tag says */
};

struct known_block {
    uint64_t mem;   /* 0: no entry */
    uint32_t where; /* a thread's index, or as caches.c has it */
};

struct work {
    struct account *account;
    const struct memory *memory;
    const struct layout *layout;
    const struct account_watcher *watcher;
    struct claim *claims;
    size_t claim_count, claim_room;
    struct known_block *known; /* a hash table */
    size_t known_count, known_room;
    /* A bit for each 16 KiB, modulo 4 GiB, that have a known block: of most
     * blocks it says that they are none. */
    unsigned char places[places_count / 8];
    uint64_t *claimed; /* resident bytes of each region that are claimed */
    int64_t *doubtful; /* pages of each region that may be resident after all */
    bool is_out_of_memory;
    bool has_quarantines; /* it runs in hardened mode */
    bool without_marks;   /* `known` says which objects are cached */
    /* The heap, and its page, that blocks are now counted for. */
    const struct heap_view *heap;
    const unsigned char *states;
    struct arena_account *arena;
    uint64_t page;
    uint64_t on_page[row_count];
    uint64_t free_in_runs; /* of on_page[row_free] */
};

/* One more doubt for the account; beyond complaints_most they are dropped. */
__attribute__((format(printf, 2, 3))) void complain(struct work *work,
                                                    const char *format, ...);

static inline bool read_at(const struct work *work, uint64_t at, void *to,
                           size_t length)
{
    return memory_read(work->memory, at, to, length);
}

static inline uint64_t word_at(const struct work *work, uint64_t at)
{
    uint64_t word = 0;

    return read_at(work, at, &word, sizeof word) ? word : 0;
}

static inline uint64_t page_down(uint64_t at)
{
    return at / page_size * page_size;
}

static inline uint64_t page_up(uint64_t at)
{
    return page_down(at + page_size - 1);
}

/* ---- claims.c ------------------------------------------------------------ */

/* These bytes, and what else is on their pages, are the row's. */
void claim(struct work *work, uint64_t start, uint64_t end, enum row row);

void claim_heaps(struct work *work);
void claim_mapped(struct work *work);
void claim_recent(struct work *work);
void claim_guarded(struct work *work);
void claim_profile(struct work *work);

/* ---- caches.c ------------------------------------------------------------ */

/* False when there is no memory for it. */
bool read_arenas(struct work *work);
void read_caches(struct work *work);
void read_pool(struct work *work);
void read_quarantines(struct work *work);

/* Whether all lists were read, so that what is in none of them is live. */
bool lists_are_whole(const struct work *work);

/* Whether the block is in one of the lists. */
bool is_known(const struct work *work, uint64_t mem);

/* The state of a cached block that has been met in a heap, and whose it is. */
enum row row_of_cached(const struct work *work, uint64_t mem,
                       struct thread_account **thread);

/* ---- tally.c ------------------------------------------------------------- */

/* Pages that are one row's as a whole. */
void count_plain(struct work *work, const struct claim *plain);

void count_heap(struct work *work, const struct claim *claimed);

/* A live block, by what the program can use of it. */
void note_live(struct account *account, uint64_t usable, uint64_t taken);

#endif
