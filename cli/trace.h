/*
 * trace.h - what a program allocated: as it is recorded, and as it is kept.
 *
 * Recorded (raw): chunks of 128 KiB in a file, each of one lane, mapped shared,
 * so that nothing is lost when the program is killed. A lane is a thread, or
 * several, one after the other. Every event has its place in the order of all.
 *
 *     | header | chunk: lane, count, event, event ... | chunk ... |
 *
 *     63           48 47                              4   3   2         0
 *     | size         | address / 16                   | o | operation   |
 *     | its place in the order of all                 |  if o is set; else the
 *     | size, log2 of the alignment above it          |  one behind the last
 *                                  if the field for the size has raw_long in it
 *
 * So an event is 8 bytes where one thread goes on and the size is below 64 KiB:
 * what a recording costs is, for the most part, pages of the file that are
 * written to for the first time.
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

enum { raw_chunk_size = 128 << 10, raw_magic_size = 16, lanes_most = 65536 };

/* Another layout is another number. */
#define RAW_MAGIC   "ptm:raw trace 2"
#define TRACE_MAGIC "ptm:trace 1\n\0\0\0"
#define ANY_TRACE   "ptm:trace "

#define RAW_ADDRESS       0x0000fffffffffff0u
#define RAW_OPERATION     7u
#define RAW_ORDER_FOLLOWS 8u

enum {
    raw_size_shift = 48,
    raw_long = 0xffff,        /* the size has a word of its own */
    raw_alignment_shift = 56, /* in that word */
    raw_event_most = 3        /* words */
};

/* A size that says: the realloc has failed. */
#define RAW_FAILED (UINT64_MAX >> 8)

struct raw_chunk {
    uint32_t lane;
    uint32_t count;      /* words that are written */
    uint64_t next_order; /* of an event that does not say */
    uint64_t words[(raw_chunk_size - 16) / sizeof(uint64_t)];
};

enum { raw_words = (raw_chunk_size - 16) / sizeof(uint64_t) };

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
