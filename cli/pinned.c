/*
 * pinned.c - goes over all blocks, and gives each sample its share of what is
 * free beside it.
 */
#define _GNU_SOURCE
#include "pinned.h"

#include "launch.h"

enum { quarter_size = 4096, quarters = 4, objects_most = 1024 };

struct walk {
    struct notes *notes;
    size_t next; /* the first sample that the walk has not come to */
    struct block before;
    struct block objects[objects_most]; /* of one run */
    size_t object_count;
    uint64_t run_size;
};

static double share_of(uint64_t from, uint64_t to, uint64_t page)
{
    uint64_t end = page + page_size;
    bool is_shared = from > page && to < end;
    uint64_t start = from > page ? from : page;
    uint64_t stop = to < end ? to : end;

    return stop > start ? (double)(stop - start) / (is_shared ? 2 : 1) : 0;
}

/* The walk goes up in each heap, but from heap to heap in any order. */
static struct sample *sample_of(struct walk *walk, uint64_t mem)
{
    size_t from = 0, to = walk->notes->sample_count;

    if (walk->next < to && walk->notes->samples[walk->next].mem == mem)
        return &walk->notes->samples[walk->next++];
    if (walk->next > 0 && walk->next < to &&
        walk->notes->samples[walk->next - 1].mem < mem &&
        walk->notes->samples[walk->next].mem > mem)
        return NULL;
    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (walk->notes->samples[middle].mem < mem)
            from = middle + 1;
        else
            to = middle;
    }
    walk->next = from;
    return from < walk->notes->sample_count &&
                   walk->notes->samples[from].mem == mem
               ? &walk->notes->samples[walk->next++]
               : NULL;
}

static uint64_t overlap(const struct block *block, uint64_t from, uint64_t to)
{
    uint64_t start = block->address > from ? block->address : from;
    uint64_t end = block->address + block->size;
    uint64_t stop = end < to ? end : to;

    return stop > start ? stop - start : 0;
}

/* All objects of a run have been seen. */
static void share_in_run(struct walk *walk)
{
    uint64_t start = walk->objects[0].address;
    double share[quarters] = {0};

    for (int i = 0; i < quarters; i++) {
        uint64_t from = start + (uint64_t)i * quarter_size, free_bytes = 0;
        size_t live = 0;

        for (size_t k = 0; k < walk->object_count; k++) {
            const struct block *object = &walk->objects[k];
            uint64_t bytes = overlap(object, from, from + quarter_size);

            if (object->state == block_free)
                free_bytes += bytes;
            else if (object->state == block_live)
                live += bytes > 0;
        }
        share[i] = live > 0 ? (double)free_bytes / (double)live : 0;
    }
    for (size_t k = 0; k < walk->object_count; k++) {
        const struct block *object = &walk->objects[k];
        struct sample *sample =
            object->state == block_live ? sample_of(walk, object->mem) : NULL;

        for (int i = 0; sample != NULL && i < quarters; i++) {
            uint64_t from = start + (uint64_t)i * quarter_size;

            if (overlap(object, from, from + quarter_size) > 0)
                sample->pinned += share[i];
        }
    }
    walk->object_count = 0;
}

static bool is_free(const struct block *block)
{
    return block->run_class == 0 &&
           (block->state == block_free || block->state == block_top);
}

static bool is_live_chunk(const struct block *block)
{
    return block->run_class == 0 && block->state == block_live;
}

static void pin_by_chunks(struct walk *walk, const struct block *block)
{
    const struct block *before = &walk->before;
    bool follows = before->address + before->size == block->address;
    uint64_t page_mask = ~(uint64_t)(page_size - 1);

    if (follows && is_free(before) && is_live_chunk(block)) {
        struct sample *sample = sample_of(walk, block->mem);

        if (sample != NULL)
            sample->pinned += share_of(before->address, block->address,
                                       block->address & page_mask);
    } else if (follows && is_live_chunk(before) && is_free(block)) {
        struct sample *sample = sample_of(walk, before->mem);

        if (sample != NULL)
            sample->pinned +=
                share_of(block->address, block->address + block->size,
                         (block->address - 1) & page_mask);
    }
}

static void see_block(void *context, const struct block *block)
{
    struct walk *walk = context;
    uint64_t run = walk->object_count > 0 ? walk->objects[0].address : 0;

    if (walk->object_count > 0 &&
        (block->run_class == 0 ||
         block->address / walk->run_size != run / walk->run_size))
        share_in_run(walk);
    if (block->run_class != 0) {
        if (walk->object_count < objects_most)
            walk->objects[walk->object_count++] = *block;
    } else {
        pin_by_chunks(walk, block);
    }
    walk->before = *block;
}

static void see_heap(void *context, const struct heap_view *heap,
                     const unsigned char *states)
{
    struct walk *walk = context;

    (void)heap, (void)states;
    if (walk->object_count > 0)
        share_in_run(walk);
    walk->before = (struct block){0};
}

void find_pinned(struct notes *notes, const struct memory *memory,
                 const struct layout *layout)
{
    static struct walk walk;
    struct account_watcher watcher = {&walk, see_heap, see_block};
    struct account account;

    walk = (struct walk){.notes = notes};
    walk.run_size =
        layout_has(layout->run_bytes) && layout->run_bytes >= quarter_size
            ? layout->run_bytes
            : quarters * quarter_size;
    if (!account_take(&account, memory, layout, &watcher))
        fail(exit_tool, "out of memory");
    if (walk.object_count > 0)
        share_in_run(&walk);
    account_free(&account);
}
