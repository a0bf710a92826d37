/*
 * trace.h - what a program allocated: as it is recorded, and as it is kept.
 *
 * Recorded (raw): chunks of 128 KiB in a file, each of one lane, mapped shared,
 * so that nothing is lost when the program is killed. A lane is a thread, or
 * several, one after the other. Every event has its place in the order of all.
 *
 *     | header | chunk: lane, count, event, event ... | chunk ... |
 *
 * Kept (trace): a header, then all events in order, a few bytes each:
 *
 *     operation, and whether another lane goes on     1 byte
 *     lane                                            if it is another
 *     slot                                            the block's number
 *     size, alignment                                 as the operation has it
 *
 * Numbers are written seven bits a byte, low ones first, the last byte without
 * its highest bit. A slot is used again once its block was freed.
 */
#ifndef TRACE_H
#define TRACE_H

#include <stdint.h>

enum operation {
    op_malloc,
    op_calloc,
    op_aligned,
    op_free,
    op_resize_from, /* raw: before a realloc, the old address */
    op_resize,      /* behind it, the new one */
    operation_count,
    op_lane_follows = 8
};

enum { raw_chunk_size = 128 << 10, raw_magic_size = 16 };

#define RAW_MAGIC   "ptm:raw trace 1"
#define TRACE_MAGIC "ptm:trace 1\n\0\0\0"

struct raw_event {
    uint64_t order; /* place; the operation is in the top byte */
    uint64_t address;
    uint64_t size; /* log2 of the alignment is in the top byte */
};

struct raw_chunk {
    uint32_t lane;
    uint32_t count;
    uint64_t unused;
    struct raw_event events[(raw_chunk_size - 16) / sizeof(struct raw_event)];
};

enum {
    raw_events = (raw_chunk_size - 16) / sizeof(struct raw_event),
    raw_top_shift = 56
};

struct trace_header {
    char magic[raw_magic_size];
    uint32_t lanes;
    uint32_t slots;
    uint64_t events;
    uint64_t allocations;
    uint64_t peak_bytes; /* requested and not freed, at most */
    uint64_t bytes;      /* of the events behind this */
};

#endif
