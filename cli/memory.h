/*
 * memory.h - the memory of another process, or of one that is no more: its
 * regions, what is in them, and which of their pages it has.
 *
 * A process is read while it runs: nothing of it is stopped, and what is read
 * may be older here and newer there. Pages that it has not are not asked for,
 * since that would give them to it. A core file is read by a map of it; a page
 * that is zero in it counts as one that the process had not.
 *
 * Nothing here believes what it reads: addresses wrap, files end early, and
 * regions overlap, and all of that is a read that fails.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { page_size = 4096, path_shown = 120 };

enum region_kind {
    region_file,   /* a program, a library, or another file */
    region_heap,   /* brk's */
    region_stack,  /* of the first thread */
    region_shared, /* memory shared with other processes */
    region_other   /* anonymous: the allocator's, other stacks, anybody's */
};

struct region {
    uint64_t start, end;
    uint64_t resident; /* bytes, as the kernel counts them */
    uint64_t swapped;
    enum region_kind kind;
    bool is_readable, is_private;
    bool is_stack_like; /* behind a guard: a thread's stack, as a rule */
    char path[path_shown];
    const unsigned char *bytes; /* in a core file ... */
    uint64_t byte_count;        /* ... with so many of the region */
};

enum page_state {
    page_absent,
    page_present,
    page_in_swap,
    /* Present, and either the kernel's one page of zeros, which is nobody's
     * memory, or shared with a child of fork. */
    page_doubtful
};

struct memory {
    int process; /* 0: a core file */
    int pagemap; /* -1: not to be had */
    const unsigned char *core;
    size_t core_size;
    struct region *regions; /* by address, without overlap */
    size_t region_count;
    uint64_t resident, swapped; /* of all regions */
    bool is_large; /* so much is resident that not every page should be read */
    bool is_core_of_this_machine;
    char name[32];
};

/* These fill *memory, or say why not; then NULL is not returned. */
const char *memory_open_process(struct memory *memory, int process);
const char *memory_open_core_file(struct memory *memory, const char *path);
const char *memory_open_core(struct memory *memory, const void *bytes,
                             size_t size);
void memory_close(struct memory *memory);

/* The region that holds the address, or NULL. */
const struct region *memory_region(const struct memory *memory,
                                   uint64_t address);

/* All of it, or false. */
bool memory_read(const struct memory *memory, uint64_t address, void *to,
                 size_t length);

/* The state of `count` pages from `address`, a multiple of the page size. False
 * when it is not known. */
bool memory_pages(const struct memory *memory, uint64_t address, size_t count,
                  unsigned char *states);

#endif
