/*
 * account.c - collects the claims, then goes over them page by page.
 *
 * Lists in the memory of the process are followed for a bounded number of
 * steps, tables are read for their fixed length: what is damaged there makes
 * the account coarser, and is complained of.
 *
 * Whether an object of a run is cached, its mark tells, or that it is in a
 * list. The mark is as of the moment when it is met; but to look at all of them
 * is to read every page, two thirds of the time that reading takes, and to drag
 * the whole heap through the caches of the processors. So in a large process
 * the lists tell. What the program caches, or takes from caches, after they
 * were read is then counted as it was before: about as much of the one as of
 * the other, and no more than it has in caches.
 */
#define _GNU_SOURCE
#include "work.h"

#include <stdlib.h>
#include <string.h>

static int by_place(const void *a, const void *b)
{
    const struct claim *one = a, *other = b;

    if (one->start != other->start)
        return one->start < other->start ? -1 : 1;
    return other->is_heap - one->is_heap;
}

/* Where claims overlap the earlier one has it; a heap that is damaged in the
 * reading of it has nothing but its 64 MiB. Mappings may lie in those behind a
 * heap that reserved less. */
static void count_claims(struct work *work)
{
    uint64_t end = 0;

    if (work->claim_count > 0)
        qsort(work->claims, work->claim_count, sizeof *work->claims, by_place);
    for (size_t i = 0; i < work->claim_count; i++) {
        struct claim *next = &work->claims[i];

        if (next->start < end && next->is_heap)
            continue;
        if (next->start < end)
            next->start = end;
        if (next->start >= next->end)
            continue;
        if (next->is_heap) {
            uint64_t before = work->account->committed_bytes;

            count_heap(work, next);
            end = next->start + work->account->committed_bytes - before;
        } else {
            count_plain(work, next);
            end = next->end;
        }
    }
}

static enum row row_of_region(const struct region *region)
{
    switch (region->kind) {
    case region_file:
        return row_files;
    case region_stack:
        return row_stacks;
    case region_shared:
        return row_shared;
    default:
        return region->is_stack_like ? row_stacks : row_other;
    }
}

static void count_rest(struct work *work)
{
    struct account *account = work->account;

    for (size_t i = 0; i < work->memory->region_count; i++) {
        const struct region *region = &work->memory->regions[i];
        int64_t rest = (int64_t)(region->resident - work->claimed[i]);

        account->rows[rest >= 0 ? row_of_region(region) : row_changed] += rest;
    }
    account->resident = work->memory->resident;
    account->swapped = work->memory->swapped;
}

bool account_take(struct account *account, const struct memory *memory,
                  const struct layout *layout,
                  const struct account_watcher *watcher)
{
    struct work work = {.account = account,
                        .memory = memory,
                        .layout = layout,
                        .watcher = watcher};
    bool is_done = false;

    memset(account, 0, sizeof *account);
    work.claimed = calloc(memory->region_count + 1, sizeof *work.claimed);
    work.doubtful = calloc(memory->region_count + 1, sizeof *work.doubtful);
    if (work.claimed != NULL && work.doubtful != NULL && read_arenas(&work)) {
        for (size_t i = 0; i < memory->region_count; i++)
            work.doubtful[i] = unknown_doubt;
        if (memory->process != 0 && memory->pagemap < 0)
            complain(&work, "its pagemap may not be read: all memory of the "
                            "allocator counts as resident");
        claim_heaps(&work);
        claim_mapped(&work);
        claim_recent(&work);
        read_caches(&work);
        read_pool(&work);
        read_quarantines(&work);
        work.without_marks = memory->is_large && lists_are_whole(&work);
        claim_guarded(&work);
        claim_profile(&work);
        count_claims(&work);
        count_rest(&work);
        is_done = !work.is_out_of_memory;
    }
    free(work.claims);
    free(work.known);
    free(work.claimed);
    free(work.doubtful);
    return is_done;
}

void account_free(struct account *account)
{
    free(account->arenas);
    free(account->threads);
    account->arenas = NULL;
    account->threads = NULL;
}
